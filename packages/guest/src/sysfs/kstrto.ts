/**
 * How the kernel reads numbers and truth values that are written to its files.
 *
 * @source lib/kstrtox.c, 6.16; README-more, "Values of parameters"
 */
import { Errno, InputError } from '@pinfold/base';

/** A value, or the errno of one that cannot be read. */
export type Parsed<Value> = { readonly value: Value } | { readonly error: number };

const U64_END = 2n ** 64n;
const U32_END = 2n ** 32n;
const INVALID = { error: -Errno.EINVAL } as const;
const OUT_OF_RANGE = { error: -Errno.ERANGE } as const;

/**
 * kstrtoull: digits to the end, after a `+` if there is one.
 *
 * @param text what is written
 * @param base 10, or 0 for what the prefix says: `0x` 16, `0` 8, else 10
 * @returns the number; -EINVAL for no number or something behind it, -ERANGE for 2^64 and more
 * @source lib/kstrtox.c _kstrtoull, _parse_integer_fixup_radix, _parse_integer, 6.16
 */
export function kstrtoull(text: string, base: 0 | 10): Parsed<bigint> {
  const unsigned = text.startsWith('+') ? text.slice(1) : text;
  const hex = base === 0 && /^0x[0-9a-f]/i.test(unsigned);
  const octal = base === 0 && !hex && unsigned.startsWith('0');
  const radix = hex ? 16n : octal ? 8n : 10n;
  const digits = /^[0-9a-f]*/i.exec(hex ? unsigned.slice(2) : unsigned)?.[0] ?? '';
  let value = 0n;
  let read = 0;
  for (const digit of digits) {
    const weight = BigInt(parseInt(digit, 16));
    if (weight >= radix) break;
    value = value * radix + weight;
    // An overflow is found before what stands behind the digits.
    if (value >= U64_END) return OUT_OF_RANGE;
    read++;
  }
  return read === 0 || read + (hex ? 2 : 0) < unsigned.length ? INVALID : { value };
}

/**
 * kstrtouint: a number of 32 bits.
 *
 * @param text what is written
 * @param base 10, or 0 for what the prefix says
 * @returns the number; -EINVAL as {@link kstrtoull}, -ERANGE for 2^32 and more
 * @source lib/kstrtox.c kstrtouint, 6.16
 */
export function kstrtouint(text: string, base: 0 | 10): Parsed<number> {
  const read = kstrtoull(text, base);
  if ('error' in read) return read;
  return read.value < U32_END ? { value: Number(read.value) } : OUT_OF_RANGE;
}

/**
 * kstrtobool: only the first letters count.
 *
 * @param text what is written
 * @returns whether it means yes; -EINVAL for anything else
 * @throws {InputError} for a word that begins with `e` or `d` (enabled, disabled), which newer releases
 *   take: no recording shows which
 * @source lib/kstrtox.c kstrtobool, 6.16
 */
export function kstrtobool(text: string): Parsed<boolean> {
  if (/^[yt1]|^on/i.test(text)) return { value: true };
  if (/^[nf0]|^of/i.test(text)) return { value: false };
  if (/^[ed]/i.test(text)) {
    throw new InputError('sysfs val=', 'a word that every release reads alike', `'${text}'`);
  }
  return INVALID;
}
