import { describe, expect, test } from 'vitest';
import { packText, unpackText } from './hash-state.ts';

describe('a text in an address', () => {
  test('comes back as it was', async () => {
    const text = 'open type=v2\n# \u00e4\n'.repeat(1000);
    expect(await unpackText(await packText(text))).toBe(text);
    expect(await unpackText(await packText(''))).toBe('');
  });

  test('is not unpacked beyond 1 MiB', async () => {
    const packed = await packText('a'.repeat(2 ** 20 + 1));
    expect(packed.length).toBeLessThan(4096);
    await expect(unpackText(packed)).rejects.toThrow('more than 1048576 bytes');
  });
});
