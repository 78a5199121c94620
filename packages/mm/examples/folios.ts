import {
  FOLL,
  LATEST_MM_RULES,
  MemMap,
  Memory,
  mmapMemory,
  MmStruct,
  pinUserPagesRemote,
  PrescribedLayout,
  unpinUserPagesDirtyLock,
} from '@pinfold/mm';

// 256 MiB of memory from 4 GiB on; a process with a 2 MiB folio and two pages of 4 KiB behind it.
const memory = new Memory(new MemMap([{ pfn: 0x100000, npage: 65536 }]), LATEST_MM_RULES);
const mm = new MmStruct(memory);
const frames = new PrescribedLayout([
  { vpn: 0x7000, pfn: 0x100200, npage: 512, order: 9 },
  { vpn: 0x7200, pfn: 0x100007, npage: 1, order: 0 },
  { vpn: 0x7201, pfn: 0x100003, npage: 1, order: 0 },
]);
mmapMemory(mm, { vpn: 0x7000, npage: 514, kind: 'anon', order: 9, frames });

const pages = memory.memmap.pageArray(514);
const pinned = pinUserPagesRemote(mm, 0x7000, 514, FOLL.WRITE | FOLL.LONGTERM, pages);
const { gupSteps, grabAtomics } = memory.counters.snapshot();
console.log(`pinned ${pinned} pages: ${gupSteps} GUP steps, ${grabAtomics} atomics`);
for (const { pfn, refcount, pincount } of memory.memmap.foliosInUse()) {
  console.log(`  folio at ${pfn.toString(16)}: refcount ${refcount}, pincount ${pincount}`);
}

unpinUserPagesDirtyLock(memory, pages, pinned, true);
const { putCalls, putAtomics, dirtyLocks } = memory.counters.snapshot();
console.log(`unpinned: ${putCalls} puts, ${putAtomics} atomics, ${dirtyLocks} folios made dirty`);
console.log(`pins held: ${memory.vmstat.pinsHeld}`);
