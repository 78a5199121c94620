// Page arithmetic of any width against the same arithmetic on bigint.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { byteAddress, isAligned, offsetIn, pageNumber, pagesOf } from '../src/units.ts';

/** PINFOLD_SEED=7 takes other seeds for all properties, the same with every 7. */
const SEED = Number(process.env.PINFOLD_SEED ?? 0);

const order = fc.nat({ max: 52 });
/** Page numbers of every magnitude, and those around multiples of large powers of two. */
const pn = fc.oneof(
  fc.maxSafeNat().map((n) => n % 2 ** 52),
  fc.nat({ max: 2 ** 20 }),
  fc
    .record({
      shift: fc.integer({ min: 9, max: 51 }),
      times: fc.nat({ max: 3 }),
      near: fc.integer({ min: -2, max: 2 }),
    })
    .map(({ shift, times, near }) => Math.min(2 ** 52 - 1, Math.max(0, times * 2 ** shift + near))),
);

test('offsetIn and isAligned are those of integers without a width', () => {
  fc.assert(
    fc.property(pn, order, (page, bits) => {
      const offset = Number(BigInt(page) % (1n << BigInt(bits)));
      expect(offsetIn(page, bits)).toBe(offset);
      expect(isAligned(page, bits)).toBe(offset === 0);
      expect(BigInt(pagesOf(bits))).toBe(1n << BigInt(bits));
    }),
    { seed: SEED + 1, numRuns: 2000 },
  );
});

test('a page number and its byte address name the same page', () => {
  fc.assert(
    fc.property(pn, fc.nat({ max: 4095 }), (page, byte) => {
      expect(pageNumber(byteAddress(page) + BigInt(byte))).toBe(page);
    }),
    { seed: SEED + 2, numRuns: 2000 },
  );
});
