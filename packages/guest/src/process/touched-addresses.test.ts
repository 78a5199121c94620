import { InputError, PAGE_SIZE } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import type { TouchOperation } from '../operations/memory/touch.ts';
import { TouchedAddresses } from './touched-addresses.ts';

function addresses(touch: Partial<TouchOperation>): bigint[] {
  const accesses = new TouchedAddresses({
    ...{ op: 'touch', va: 0x10000n, size: 0x4000n, mode: 'w', stride: 0x1000n },
    ...touch,
  });
  return Array.from({ length: accesses.count }, (_, i) => {
    accesses.select(i);
    return BigInt(accesses.vpn) * BigInt(PAGE_SIZE) + BigInt(accesses.offset);
  });
}

describe('the accesses of a touch', () => {
  test('one per stride, those of a part of a stride included', () => {
    expect(addresses({})).toEqual([0x10000n, 0x11000n, 0x12000n, 0x13000n]);
    expect(addresses({ size: 1n })).toEqual([0x10000n]);
    expect(addresses({ size: 0n })).toEqual([]);
    expect(addresses({ va: 0x10ff0n, size: 0x30n, stride: 0x10n })).toEqual([
      0x10ff0n,
      0x11000n,
      0x11010n,
    ]);
    expect(addresses({ va: 0x10800n, size: 0x4001n, stride: 0x1800n })).toEqual([
      0x10800n,
      0x12000n,
      0x13800n,
    ]);
  });

  test('in reverse, and pages by number', () => {
    expect(addresses({ order: 'rev' })).toEqual([0x13000n, 0x12000n, 0x11000n, 0x10000n]);
    expect(addresses({ pages: [5, 0, 9] })).toEqual([0x15000n, 0x10000n, 0x19000n]);
  });

  test('in random order each once, the same for a seed', () => {
    const shuffled = addresses({ size: 0x40000n, order: 'rand', seed: 7 });
    expect(shuffled).toEqual(addresses({ size: 0x40000n, order: 'rand', seed: 7 }));
    expect(shuffled).not.toEqual(addresses({ size: 0x40000n }));
    expect([...shuffled].sort((a, b) => Number(a - b))).toEqual(addresses({ size: 0x40000n }));
  });

  test('exact at the top of the address space', () => {
    expect(addresses({ va: 2n ** 64n - 0x2000n, size: 0x2000n })).toEqual([
      2n ** 64n - 0x2000n,
      2n ** 64n - 0x1000n,
    ]);
  });

  test('a list of 16 TiB is refused in random order only', () => {
    const size = 16n << 40n;
    expect(() => addresses({ size, order: 'rand' })).toThrow(InputError);
    const { count } = new TouchedAddresses({
      ...{ op: 'touch', va: 0n, size, mode: 'r', stride: 0x1000n },
    });
    expect(count).toBe(2 ** 32);
  });
});
