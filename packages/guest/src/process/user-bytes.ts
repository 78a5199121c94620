/**
 * Bytes as recordings show them: runs of equal bytes, and a hash over all.
 *
 * @source README-extpin, "Fields of a step" (`data`)
 */
import type { ByteData } from '@pinfold/scenario';

/** Runs that are listed. */
const MAX_RUNS = 64;
/** Start and factor of FNV-1a with 64 bits, in four parts of 16 bits, the lowest first. */
const FNV_START = [0x2325, 0x8422, 0x9ce4, 0xcbf2] as const;
const FNV_LOW_FACTOR = 0x1b3;
/** The factor's other bit is bit 40: 16 * 2 + 8. */
const FNV_HIGH_SHIFT = 8;

/**
 * Describes bytes.
 *
 * @param bytes the bytes
 * @returns their number, their hash and the first runs
 */
export function describeBytes(bytes: Uint8Array): ByteData {
  const runs: [number, number, number][] = [];
  for (let at = 0; at < bytes.length && runs.length < MAX_RUNS;) {
    const end = endOfRun(bytes, at);
    runs.push([at, bytes[at], end - at]);
    at = end;
  }
  return { len: bytes.length, fnv: fnv1a(bytes), runs };
}

function endOfRun(bytes: Uint8Array, start: number): number {
  let end = start + 1;
  while (end < bytes.length && bytes[end] === bytes[start]) end++;
  return end;
}

/** FNV-1a with 64 bits, as hexadecimal digits. */
function fnv1a(bytes: Uint8Array): string {
  let [a, b, c, d] = FNV_START as readonly [number, number, number, number];
  for (const byte of bytes) {
    a ^= byte;
    // Times 2^40 + 0x1b3.
    const high = a << FNV_HIGH_SHIFT;
    const e = a * FNV_LOW_FACTOR;
    const f = b * FNV_LOW_FACTOR + (e >>> 16);
    const g = c * FNV_LOW_FACTOR + (f >>> 16) + (high & 0xffff);
    const h = d * FNV_LOW_FACTOR + (g >>> 16) + (b << FNV_HIGH_SHIFT) + (high >>> 16);
    a = e & 0xffff;
    b = f & 0xffff;
    c = g & 0xffff;
    d = h & 0xffff;
  }
  return [d, c, b, a].map((part) => part.toString(16).padStart(4, '0')).join('');
}
