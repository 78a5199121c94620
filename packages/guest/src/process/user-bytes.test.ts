import { describe, expect, it } from 'vitest';
import { describeBytes } from './user-bytes.ts';

describe('bytes', () => {
  // Hashes of the recordings r01, r02, r05 and r07.
  it.each<[string, Uint8Array, string, [number, number, number][]]>([
    ['none', new Uint8Array(0), 'cbf29ce484222325', []],
    ['ones', new Uint8Array(16).fill(1), 'deddcdeb4df58075', [[0, 1, 16]]],
    ['unread', new Uint8Array(16).fill(238), 'dd3fc6b86d146065', [[0, 238, 16]]],
    [
      'two runs',
      new Uint8Array(8192).fill(1, 0, 4096).fill(2, 4096),
      'bcd8689d3ab97325',
      [
        [0, 1, 4096],
        [4096, 2, 4096],
      ],
    ],
    [
      'large',
      new Uint8Array(2 ** 22).fill(1, 0, 2 ** 20).fill(2, 2 ** 20),
      'd2716e6063722325',
      [
        [0, 1, 1048576],
        [1048576, 2, 3145728],
      ],
    ],
  ])('%s', (_, bytes, fnv, runs) => {
    expect(describeBytes(bytes)).toEqual({ len: bytes.length, fnv, runs });
  });

  it('show 64 runs', () => {
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
    const { len, runs } = describeBytes(bytes);
    expect(len).toBe(100);
    expect(runs).toHaveLength(64);
    expect(runs.at(-1)).toEqual([63, 63, 1]);
  });
});
