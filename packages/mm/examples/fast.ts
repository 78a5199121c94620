import { createTask, FOLL, mmapAnonymous, pinUserPagesFast, touchPage } from '@pinfold/mm';

const { mm } = createTask();
const { memory } = mm;

// A THP that the process has written to, and two pages of 4 KiB that it has not.
mmapAnonymous(mm, 0x7000, 514);
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
