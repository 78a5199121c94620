import {
  anonymousMemory,
  BuddyAllocator,
  doMmap,
  FOLL,
  MemMap,
  Memory,
  MmStruct,
  pinUserPagesFast,
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
const mm = new MmStruct(memory);

// A THP that the process has written to, and two pages of 4 KiB that it has not.
const flags = VM.READ | VM.WRITE;
doMmap(mm, { vpn: 0x7000, npage: 514, flags, ops: anonymousMemory });
touchPage(mm, 0x7000, true);

const pages = memory.memmap.pageArray(514);
const before = memory.counters.snapshot();
for (const npage of [512, 514]) {
  const pinned = pinUserPagesFast(mm, 0x7000, npage, FOLL.WRITE | FOLL.LONGTERM, pages);
  const { gupSteps, grabAtomics, pageFaults } = memory.counters.since(before);
  const cost = `${gupSteps} steps, ${grabAtomics} atomics, ${pageFaults} faults`;
  console.log(`pinned ${pinned} pages; so far ${cost}`);
}
console.log(`pins held: ${memory.vmstat.pinsHeld}`);
