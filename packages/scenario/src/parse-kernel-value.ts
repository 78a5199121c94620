/**
 * How the kernel reads numbers and switches that a user writes into a file of sysfs.
 *
 * @source lib/kstrtox.c, 6.16; recordings of family more, prm01 and prm02
 */
import { Errno } from '@pinfold/base';

/** A value that was read, or a negative errno. */
export type Parsed<Value> = { readonly value: Value } | { readonly errno: number };

const EINVAL = { errno: -Errno.EINVAL } as const;
const ERANGE = { errno: -Errno.ERANGE } as const;
const U64_END = 2n ** 64n;
const U32_END = 2n ** 32n;

/**
 * Reads an unsigned int in any base: `0x` is hexadecimal, a leading `0` octal.
 *
 * @param text what is written
 * @returns the value; EINVAL when it is no number or has a minus sign, ERANGE above 32 bits
 * @source lib/kstrtox.c kstrtouint, _parse_integer_fixup_radix, 6.16
 */
export function kstrtouint(text: string): Parsed<number> {
  const digits = text.replace(/^\+/, '');
  const [prefix, base] = /^0x[0-9a-f]/i.test(digits)
    ? (['0x', 16] as const)
    : digits.startsWith('0')
      ? (['0o', 8] as const)
      : (['', 10] as const);
  const rest = base === 16 ? digits.slice(2) : digits;
  const length = rest.search(DIGIT_ENDS[base]);
  const good = length < 0 ? rest : rest.slice(0, length);
  if (good === '') return EINVAL;
  const value = BigInt(prefix + good);
  // A number that is too long is that before anything is said about what follows it.
  if (value >= U64_END) return ERANGE;
  if (good !== rest) return EINVAL;
  return value < U32_END ? { value: Number(value) } : ERANGE;
}

/** Where the digits of a base end. */
const DIGIT_ENDS: Readonly<Record<8 | 10 | 16, RegExp>> = {
  8: /[^0-7]/,
  10: /[^0-9]/,
  16: /[^0-9a-f]/i,
};

/**
 * Reads a switch: its first letter decides, of `on` and `off` the second.
 *
 * @param text what is written
 * @returns the switch; EINVAL for anything else
 * @source lib/kstrtox.c kstrtobool, 6.16
 */
export function kstrtobool(text: string): Parsed<boolean> {
  if (/^(?:[eyt1]|on)/i.test(text)) return { value: true };
  if (/^(?:[dnf0]|of)/i.test(text)) return { value: false };
  return EINVAL;
}
