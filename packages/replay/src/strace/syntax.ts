/** How strace writes a line: who, when, the call with its arguments, what it returned, how long it took. */
import { MalformedLine } from '../log/entries.ts';

/** A line of strace. */
export type StraceLine =
  | { readonly kind: 'call'; readonly process: number; readonly call: WrittenCall }
  | {
      /** A call that another process's line interrupts: its beginning. */
      readonly kind: 'unfinished';
      readonly process: number;
      readonly name: string;
      readonly begin: string;
    }
  | {
      /** The end of such a call. */
      readonly kind: 'resumed';
      readonly process: number;
      readonly name: string;
      readonly end: string;
    }
  | {
      /** A signal or an exit. */
      readonly kind: 'other';
      readonly process: number;
    };

/** A system call as written. */
export interface WrittenCall {
  /** Its name. */
  readonly name: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** What it returned; undefined for `?`. */
  readonly result: string | undefined;
  /** Name of the error; null if it succeeded. */
  readonly errno: string | null;
  /** Its duration in seconds, with -T. */
  readonly seconds?: number;
}

const WHO = /^(?:\[pid\s+(\d+)\]\s*|(\d+)\s+)?/;
const WHEN = /^(?:\d\d:\d\d:\d\d(?:\.\d+)?|\d{9,10}\.\d+|\d+\.\d{6}|\(\+\s*[\d.]+\))\s+/;
/** A system call; functions of QEMU are written alike. */
const CALL = /^(?!vfio_|iommufd_)([a-z_][a-z0-9_]*)\(/;
const RESUMED = /^<\.\.\. ([a-z_][a-z0-9_]*) resumed>\s*,?\s*/;
const UNFINISHED = /\s*<unfinished \.\.\.>\s*$/;
const RESULT =
  /^\s*=\s*(0x[0-9a-f]+|-?\d+|\?)(<.*?>)?(?:\s+(E[A-Z0-9]+)\b)?.*?(?:<(\d+\.\d+)>)?\s*$/;

/**
 * Reads a line.
 *
 * @param line the line
 * @returns what it is; null if it is none of strace's
 * @throws {MalformedLine} when it begins as a call of strace's, but does not end as one
 */
export function readStraceLine(line: string): StraceLine | null {
  const [who, bracketed, bare] = WHO.exec(line) ?? [''];
  const process = Number(bracketed ?? bare ?? 0);
  const rest = line.slice(who.length).replace(WHEN, '');
  const resumed = RESUMED.exec(rest);
  if (resumed) {
    return { kind: 'resumed', process, name: resumed[1], end: rest.slice(resumed[0].length) };
  }
  if (/^(?:---|\+\+\+) /.test(rest)) return { kind: 'other', process };
  const found = CALL.exec(rest);
  if (!found) return null;
  const [, name] = found;
  if (UNFINISHED.test(rest)) {
    const begin = rest.slice(name.length + 1).replace(UNFINISHED, '');
    return { kind: 'unfinished', process, name, begin };
  }
  const call = readCall(name, rest.slice(name.length + 1));
  return call && { kind: 'call', process, call };
}

/**
 * Reads a call.
 *
 * @param name its name
 * @param text what comes after the parenthesis
 * @returns the call; null where nothing says that it is one
 * @throws {MalformedLine} when the arguments have no end
 */
export function readCall(name: string, text: string): WrittenCall | null {
  const { args, end } = splitArguments(text);
  if (end < 0) {
    if (!/\b(?:O_|PROT_|MAP_|VFIO_|0x)|^\d/.test(text)) return null;
    throw new MalformedLine(`the call of ${name} has no end`);
  }
  const result = RESULT.exec(text.slice(end + 1));
  if (!result) {
    if (!/\b(?:O_|PROT_|MAP_|VFIO_|0x)/.test(text)) return null;
    throw new MalformedLine(`the call of ${name} has no result`);
  }
  const [, value, , error, seconds] = result;
  return {
    ...{ name, args, result: value === '?' ? undefined : value },
    errno: value === '-1' ? (error ?? 'EINVAL') : null,
    ...(seconds !== undefined && { seconds: Number(seconds) }),
  };
}

const OPEN = '([{<';
const CLOSE = ')]}>';

/** The arguments up to the parenthesis that ends them, and where that is; -1: nowhere. */
function splitArguments(text: string): { args: string[]; end: number } {
  const args: string[] = [];
  let depth = 0;
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '"') {
      i = endOfString(text, i);
      if (i < 0) return { args, end: -1 };
      continue;
    }
    // `<` begins what -y says of a descriptor, and nothing where it is an operator such as `<<`.
    if (char === '<' && text[i + 1] === '<') {
      i++;
      continue;
    }
    if (char === '-' && text[i + 1] === '>') {
      i++;
      continue;
    }
    if (OPEN.includes(char)) depth++;
    else if (CLOSE.includes(char)) {
      if (depth === 0 && char === ')') {
        const last = text.slice(from, i).trim();
        if (last !== '' || args.length > 0) args.push(last);
        return { args, end: i };
      }
      depth--;
    } else if (char === ',' && depth === 0) {
      args.push(text.slice(from, i).trim());
      from = i + 1;
    }
  }
  return { args, end: -1 };
}

function endOfString(text: string, from: number): number {
  for (let i = from + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '"') return i;
  }
  return -1;
}

/**
 * A descriptor as an argument or a result.
 *
 * @param text such as `17`, `0x11` or `17</dev/vfio/vfio>`
 * @returns its number, and the path that -y gives; number -1 if it is none
 */
export function readDescriptor(text: string): { fd: number; path?: string } {
  const [, number, path] = /^(-?\d+|0x[0-9a-f]+)(?:<(.*)>)?$/.exec(text) ?? [];
  const fd = number === undefined ? -1 : Number(number);
  return path === undefined ? { fd } : { fd, path };
}

const ESCAPES: Readonly<Record<string, number>> = {
  ...{ n: 10, t: 9, r: 13, v: 11, f: 12, a: 7, b: 8, e: 27 },
  ...{ '"': 34, '\\': 92, "'": 39 },
};

/**
 * The bytes of a string as strace writes them.
 *
 * @param text the string with its quotation marks
 * @returns its bytes; null if it is no string
 */
export function bytesOfString(text: string): Uint8Array | null {
  if (!/^"(?:.*)"(?:\.\.\.)?$/s.test(text)) return null;
  const end = text.lastIndexOf('"');
  const bytes: number[] = [];
  for (let i = 1; i < end; i++) {
    if (text[i] !== '\\') {
      bytes.push(text.charCodeAt(i) & 0xff);
      continue;
    }
    const [hex] = /^x[0-9a-f]{2}/.exec(text.slice(i + 1, i + 4)) ?? [];
    const [octal] = /^[0-7]{1,3}/.exec(text.slice(i + 1, i + 4)) ?? [];
    if (hex !== undefined) bytes.push(parseInt(hex.slice(1), 16));
    else if (octal !== undefined) bytes.push(parseInt(octal, 8) & 0xff);
    else bytes.push(ESCAPES[text[i + 1]] ?? text.charCodeAt(i + 1));
    i += hex?.length ?? octal?.length ?? 1;
  }
  return Uint8Array.from(bytes);
}

/**
 * The fields of a structure as strace writes it.
 *
 * @param text such as `{argsz=32, flags=0x3, iova=0}`, also with what `=>` says the kernel wrote
 * @returns numbers by the names of their fields; null if it is no structure
 */
export function fieldsOf(text: string): Map<string, bigint> | null {
  if (!text.startsWith('{')) return null;
  const [before] = text.split(' => ');
  const values = new Map<string, bigint>();
  for (const [, name, written] of before.matchAll(/(\w+)=([^,{}]+)/g)) {
    const value = numberOf(written);
    if (value !== null) values.set(name, value);
  }
  return values;
}

const NAMED: Readonly<Record<string, bigint>> = {
  ...{ VFIO_DMA_MAP_FLAG_READ: 1n, VFIO_DMA_MAP_FLAG_WRITE: 2n, VFIO_DMA_MAP_FLAG_VADDR: 4n },
  ...{ VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP: 1n, VFIO_DMA_UNMAP_FLAG_ALL: 2n },
  ...{ VFIO_DMA_UNMAP_FLAG_VADDR: 4n, NULL: 0n },
  ...{ IOMMU_IOAS_MAP_FIXED_IOVA: 1n, IOMMU_IOAS_MAP_WRITEABLE: 2n, IOMMU_IOAS_MAP_READABLE: 4n },
};

/**
 * A number as strace writes it: digits, a comment of -X verbose, or names joined by `|`.
 *
 * @param written such as `0x3`, `3 /* comment *\/` or `VFIO_DMA_MAP_FLAG_READ|VFIO_DMA_MAP_FLAG_WRITE`
 * @returns the number; null if it is none
 */
export function numberOf(written: string): bigint | null {
  const plain = written.replace(/\/\*.*?\*\//g, '').trim();
  if (/^(?:0x[0-9a-f]+|\d+)$/i.test(plain)) return BigInt(plain);
  const product = /^(\d+)\s*(<<|\*)\s*(\d+)$/.exec(plain);
  if (product) {
    const [a, b] = [BigInt(product[1]), BigInt(product[3])];
    return product[2] === '<<' ? a << b : a * b;
  }
  let sum = 0n;
  for (const word of plain.split('|')) {
    const value = Object.hasOwn(NAMED, word) ? NAMED[word] : undefined;
    if (value === undefined) return null;
    sum |= value;
  }
  return sum;
}
