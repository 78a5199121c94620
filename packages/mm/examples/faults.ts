import {
  anonymousMemory,
  BuddyAllocator,
  doMmap,
  dupMmap,
  FOLL,
  MemMap,
  Memory,
  MmStruct,
  pinUserPagesRemote,
  touchPage,
  VM,
  type MmRules,
} from '@pinfold/mm';

const rules: MmRules = {
  series: '6.18',
  rangeUnpinStep: 'page + i',
  hugeZeroUnshare: 'thp',
  diskLargeFolios: true,
  source: 'mm/gup.c',
};
const ranges = [{ pfn: 0x100000, npage: 65536 }];
const memory = new Memory(new MemMap(ranges), rules);
memory.frames = new BuddyAllocator(ranges);
const parent = new MmStruct(memory);

// 2 MiB and a page of private anonymous memory that was never touched, pinned for a device to read.
const flags = VM.READ | VM.WRITE;
doMmap(parent, { vpn: 0x7000, npage: 513, flags, ops: anonymousMemory });
const pages = memory.memmap.pageArray(513);
const pinned = pinUserPagesRemote(parent, 0x7000, 513, FOLL.LONGTERM, pages);
const { pageFaults, gupSteps, pagesZeroed } = memory.counters.snapshot();
console.log(`pinned ${pinned} pages: ${pageFaults} faults, ${gupSteps} walks`);
console.log(`${pagesZeroed} pages zeroed`);

// The process goes on: the device sees what it writes, and its child does not.
const small = parent.pageTable.pfnAt(0x7200);
const child = new MmStruct(memory);
dupMmap(parent, child);
touchPage(parent, 0x7200, true);
console.log(`the parent still has the pinned page: ${parent.pageTable.pfnAt(0x7200) === small}`);
console.log(`the child has it: ${child.pageTable.pfnAt(0x7200) === small}`);
console.log(`copied for the child: ${memory.counters.snapshot().pagesCopied} pages`);
