import { expect, it } from 'vitest';
import { RegionAddresses } from './addresses.ts';

const GIB = 2n ** 30n;

it('puts every region on a GiB of its own, with a free one behind it', () => {
  const addresses = new RegionAddresses();
  const sizes = [4096n, GIB, GIB + 1n, 0n, 1n];
  const offsets = sizes.map((size) => (addresses.place(size) - 0x10_0000_0000n) / GIB);
  expect(offsets).toEqual([0n, 2n, 4n, 7n, 8n]);
});
