/** What ioctls of iommufd share in scenarios: how their arguments are written, and their sizes. */
import { bytes, hex, number, type ArgumentKind, U64_MAX } from '@pinfold/scenario';
import { Errno, InputError } from '@pinfold/base';
import type { DmaBuf, IovaRange, MappableFile } from '@pinfold/iommufd';
import type { Region } from '../process/guest-process.ts';

/** A number of 64 bits: `max` is the largest, one below zero wraps. */
export const word64: ArgumentKind<bigint> = {
  read: (text, place) => {
    if (text === 'max') return { regions: [], evaluate: () => U64_MAX };
    if (!text.startsWith('-')) return bytes.read(text, place);
    const { regions, evaluate } = bytes.read(text.slice(1), place);
    return { regions, evaluate: (known) => BigInt.asUintN(64, -evaluate(known)) };
  },
};

/** As {@link word64}; `last` is where a mapping was made last. */
export const word64OrLast: ArgumentKind<bigint | 'last'> = {
  read: (text, place) =>
    text === 'last' ? { regions: [], evaluate: () => 'last' } : word64.read(text, place),
};

const MAP_FLAGS = { f: 1, w: 2, r: 4 } as const;

/** Flags of IOMMU_IOAS_MAP: letters f (fixed), w and r, or a number. */
export const ioasMapFlags: ArgumentKind<number> = {
  read: (text, place) => {
    if (/^\d/.test(text)) return number.read(text, place);
    if (!/^[fwr]+$/.test(text)) {
      throw new InputError(place, 'letters of f, r and w, or a number', `'${text}'`);
    }
    const names = Object.keys(MAP_FLAGS) as (keyof typeof MAP_FLAGS)[];
    const flags = names.reduce((sum, name) => sum | (text.includes(name) ? MAP_FLAGS[name] : 0), 0);
    return { regions: [], evaluate: () => flags };
  },
};

/**
 * A word that stands for a number, or a number.
 *
 * @param words the words with their numbers
 * @returns the kind
 */
export function wordOrNumber(words: Readonly<Record<string, number>>): ArgumentKind<number> {
  return {
    read: (text, place) => {
      if (/^\d/.test(text)) return number.read(text, place);
      if (!Object.hasOwn(words, text)) {
        throw new InputError(place, `${Object.keys(words).join(', ')} or a number`, `'${text}'`);
      }
      return { regions: [], evaluate: () => words[text] ?? 0 };
    },
  };
}

/** Ranges as `a:b,c:d`, both ends inclusive; nothing: no range. */
export const iovaRangeList: ArgumentKind<readonly IovaRange[]> = {
  read: (text, place) => {
    const items = text === '' ? [] : text.split(',');
    const ranges = items.map((item) => {
      const [start = '', last = ''] = item.split(':');
      return [word64.read(start, place), word64.read(last, place)] as const;
    });
    return {
      regions: ranges.flatMap(([start, last]) => [...start.regions, ...last.regions]),
      evaluate: (known) =>
        ranges.map(([start, last]) => ({
          start: start.evaluate(known),
          last: last.evaluate(known),
        })),
    };
  },
  write: (value) =>
    (value as readonly IovaRange[])
      .map(({ start, last }) => `${hex(start)}:${hex(last)}`)
      .join(','),
};

/**
 * Makes an ioctl whose structure says how long it is: one that is too short is refused, one that is
 * longer must end in zeros.
 *
 * @param operation the operation, with the size of its structure
 * @param argsz bytes of the structure that the kernel knows
 * @param untouched what the structure holds if it is refused
 * @param call the ioctl
 * @returns what it has done
 * @source drivers/iommu/iommufd/main.c iommufd_fops_ioctl, 7.2; recording e02
 */
export function ioctl<Result extends { readonly ret: number }>(
  operation: { readonly argsz: number; readonly tail: boolean },
  argsz: number,
  untouched: Result,
  call: () => Result,
): Result {
  if (operation.argsz < argsz) return { ...untouched, ret: -Errno.EINVAL };
  if (operation.argsz > argsz && operation.tail) return { ...untouched, ret: -Errno.E2BIG };
  return call();
}

/**
 * The file that a name stands for.
 *
 * @param name name of a buffer, or of a region of a file
 * @param buffers buffers by name
 * @param regions regions by name
 * @returns the file
 * @throws {InputError} when neither has the name, or the region has no file
 */
export function fileOf(
  name: string,
  buffers: ReadonlyMap<string, DmaBuf>,
  regions: ReadonlyMap<string, Region>,
): MappableFile {
  const dmabuf = buffers.get(name);
  if (dmabuf) return { kind: 'dmabuf', dmabuf };
  const file = regions.get(name)?.file;
  if (file) return { kind: 'file', file, bytes: file.bytes };
  throw new InputError(`file=${name}`, 'a dma-buf, or a region of a file', 'neither');
}
