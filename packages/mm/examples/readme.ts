import { createTask, FOLL, mmapAnonymous, pinUserPagesRemote, unpinUserPages } from '@pinfold/mm';

// A process on a machine with 256 MiB maps 4 MiB, and a device is to write to them from now on.
const { mm } = createTask();
mmapAnonymous(mm, 0x7000, 1024);
const pages = mm.memory.memmap.pageArray(1024);
const pinned = pinUserPagesRemote(mm, 0x7000, 1024, FOLL.WRITE | FOLL.LONGTERM, pages);
console.log(`pinned ${pinned} pages; pins held: ${mm.memory.vmstat.pinsHeld}`);
unpinUserPages(mm.memory, pages, pinned);
console.log(`unpinned them; pins held: ${mm.memory.vmstat.pinsHeld}`);
