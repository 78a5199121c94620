import {
  createTask,
  dupMmap,
  FOLL,
  mmapAnonymous,
  MmStruct,
  pinUserPagesRemote,
  touchPage,
} from '@pinfold/mm';

const { mm: parent } = createTask();
const { memory } = parent;

// 2 MiB and a page of private anonymous memory that was never touched, pinned for a device to read.
mmapAnonymous(parent, 0x7000, 513);
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
