/** Why the model refused: the kernel function whose check failed, and the values that it saw. */
import { hex } from '../hex.ts';

/** A failed check. */
export interface Failure {
  /** Kernel function that gives the error. */
  readonly at: string;
  /** What it saw: page numbers and pages as numbers, byte addresses and sizes as hex strings. */
  readonly detail: Readonly<Record<string, string | number | boolean>>;
}

/**
 * Makes a failure of what an ioctl of the model returned.
 *
 * @param at kernel function
 * @param detail the values that it saw
 * @returns the failure, with bytes in hex so that it can be written as JSON
 */
export function failureOf(at: string, detail: Readonly<Record<string, unknown>>): Failure {
  const plain = Object.entries(detail).map(([name, value]) => [name, plainValue(value)] as const);
  return { at, detail: Object.fromEntries(plain) };
}

function plainValue(value: unknown): string | number | boolean {
  if (typeof value === 'bigint') return hex(value);
  return typeof value === 'number' || typeof value === 'boolean' ? value : String(value);
}

/**
 * A failure in one line.
 *
 * @param failure the failure
 * @returns the function and its values: `vfio_dma_do_map iova=0x1000 size=0x0`
 */
export function failureText({ at, detail }: Failure): string {
  return [at, ...Object.entries(detail).map(([name, value]) => `${name}=${value}`)].join(' ');
}
