/** Unpinning marks a page dirty if, and only if, the device could write to it. */
import { PG } from '@pinfold/mm';
import { describe, expect, test } from 'vitest';
import { Guest } from './guest.ts';
import { kernels } from './kernels.ts';

const READ = 1;
const WRITE = 2;

const MEMORY = [
  { name: 'small folios', npage: 4, order: 0 },
  { name: 'a THP', npage: 512, order: 9 },
];

describe.each(kernels)('kernel $name', (kernel) => {
  describe.each(MEMORY)('$name', ({ npage, order }) => {
    test.each([
      { flags: READ, dirty: false },
      { flags: WRITE, dirty: true },
      { flags: READ | WRITE, dirty: true },
    ])('mapped with flags $flags', ({ flags, dirty }) => {
      const guest = new Guest({ kernel }).mmap({ npage, order });
      expect(guest.map(0x1000, npage, undefined, flags).ret).toBe(0);
      expect(guest.unmap(0x1000, npage).ret).toBe(0);
      const folios = [...guest.memory.memmap.foliosInUse()];
      expect(folios.length).toBe(npage / 2 ** order);
      for (const folio of folios) expect((folio.flags & PG.dirty) !== 0).toBe(dirty);
    });
  });
});
