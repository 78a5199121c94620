/**
 * Every op of the scenario language: its arguments, their defaults, and the operation that it asks
 * a machine for. Those of `operations` are a file each, with what the model does.
 *
 * @source recordings README, "Scenario language"
 */
import { InputError } from '@pinfold/base';
import {
  bytes,
  extents,
  flagBits,
  newRegion,
  number,
  numbers,
  positiveBytes,
  prot,
  region,
  text,
  word,
  wordList,
  needed,
  optional,
  ScenarioLanguage,
  type Scenario,
  op,
  plain,
  type Entry,
  type Op,
} from '@pinfold/scenario';
import { externalEntries } from './external-ops.ts';
import { notModelledEntries } from './not-modelled-ops.ts';
import type { Operation } from './operation.ts';
import { guestOps } from './index.ts';
import { FAULT_KINDS } from '../machine/step-faults.ts';

/** Size of struct vfio_iommu_type1_dma_map. */
const MAP_ARGSZ = 32;
/** Size of struct vfio_iommu_type1_dma_unmap, and with a struct vfio_bitmap behind it. */
const UNMAP_ARGSZ = { plain: 24, bitmap: 48 };
/** Size of struct vfio_iommu_type1_dirty_bitmap, and with its _get behind it. */
const DIRTY_ARGSZ = { plain: 8, get: 48 };
const UNMAP_GET_DIRTY_BITMAP = 1;
const DIRTY_GET_BITMAP = 4;
const PAGE = 4096n;

/** Bytes of a bitmap with one bit per page: whole 64-bit words, at least one. */
function bitmapBytes(size: bigint, pgsize: bigint): bigint {
  const pages = (size + pgsize - 1n) / pgsize;
  return pages === 0n ? 8n : ((pages + 63n) / 64n) * 8n;
}

const device = { dev: needed(text) };
const bitmap = {
  pgsize: optional(positiveBytes),
  bmsize: optional(bytes),
  bmmem: optional(bytes),
};

const mmapKinds = [
  'anon',
  'huge2m',
  'huge1g',
  'memfd',
  'memfd2m',
  'memfd1g',
  'file',
  'bar',
] as const;
const mmapFlags = [
  ...(['shared', 'private', 'populate', 'noreserve'] as const),
  ...(['locked', 'fixed', 'filled'] as const),
] as const;

const NEEDED_BY_KIND: Readonly<Record<string, readonly string[]>> = {
  file: ['path'],
  bar: ['dev', 'bar'],
};

const mmap = op(
  {
    ...{ name: needed(newRegion), kind: needed(word(...mmapKinds)), size: needed(bytes) },
    ...{ addr: optional(bytes), prot: optional(prot), flags: optional(wordList(...mmapFlags)) },
    ...{ advise: optional(word('huge', 'nohuge')), of: optional(region), path: optional(text) },
    ...{ fsize: optional(bytes), off: optional(bytes), dev: optional(text), bar: optional(number) },
    ...{ frames: optional(extents), copies: optional(number) },
  },
  (values) => ({ op: 'mmap', prot: 'rw', flags: [], ...values }),
  (written, place) => {
    const { kind = '' } = written;
    for (const name of NEEDED_BY_KIND[kind] ?? []) {
      if (written[name] === undefined) {
        throw new InputError(place, `${name}= with kind=${kind}`, `no ${name}=`);
      }
    }
  },
);

const touch = op(
  {
    ...{ va: needed(bytes), size: optional(bytes), mode: optional(word('r', 'w')) },
    ...{ stride: optional(positiveBytes), pages: optional(numbers) },
    ...{ order: optional(word('rev', 'rand')), seed: optional(number) },
  },
  ({ size, pages, ...values }) => {
    const last = (pages ?? []).reduce((max, page) => Math.max(max, page), 0);
    const listed = BigInt(last + 1) * PAGE;
    const range = { size: size ?? listed, ...(pages && { pages }) };
    return { op: 'touch', mode: 'w', stride: PAGE, ...values, ...range };
  },
  ({ size, pages, order, seed }, place) => {
    if (size === undefined && pages === undefined) {
      throw new InputError(place, 'size= or pages=', 'neither');
    }
    if (order === 'rand' && seed === undefined) {
      throw new InputError(place, 'seed= with order=rand', 'no seed=');
    }
  },
);

const entries: Readonly<Record<string, Entry<Operation>>> = {
  open: op(
    { type: needed(word('v2', 'v1', 'nesting')), dev: optional(text) },
    ({ type, dev = 'edu' }) => ({ op: 'open', type, dev }),
  ),
  opencontainer: plain('opencontainer'),
  setiommu: op({ type: needed(number) }, (values) => ({ op: 'setiommu', ...values })),
  addgroup: op(device, (values) => ({ op: 'addgroup', ...values })),
  delgroup: op(device, (values) => ({ op: 'delgroup', ...values })),
  close: plain('close'),
  device: op(device, (values) => ({ op: 'device', ...values })),
  pcicmd: op({ ...device, val: needed(number) }, (values) => ({ op: 'pcicmd', ...values })),
  mmap,
  touch,
  map: op(
    {
      ...{ iova: needed(bytes), va: needed(bytes), size: needed(bytes) },
      ...{ flags: optional(flagBits({ rw: 3, r: 1, w: 2, vaddr: 4 })), argsz: optional(number) },
      from: optional(word('child')),
    },
    (values) => ({ op: 'map', flags: 3, argsz: MAP_ARGSZ, ...values }),
  ),
  unmap: op(
    {
      ...{ iova: needed(bytes), size: needed(bytes) },
      ...{ flags: optional(flagBits({ all: 2, vaddr: 4, bitmap: 1 })), argsz: optional(number) },
      ...bitmap,
    },
    ({ pgsize = PAGE, bmsize, ...values }) => {
      const { flags = 0, size } = values;
      if (!(flags & UNMAP_GET_DIRTY_BITMAP)) {
        return { op: 'unmap', flags, argsz: UNMAP_ARGSZ.plain, ...values };
      }
      const bits = { pgsize, bmsize: bmsize ?? bitmapBytes(size, pgsize) };
      return { op: 'unmap', flags, argsz: UNMAP_ARGSZ.bitmap, ...values, ...bits };
    },
  ),
  dirty: op(
    {
      what: needed(flagBits({ start: 1, stop: 2, get: 4 })),
      ...{ iova: optional(bytes), size: optional(bytes), ...bitmap, argsz: optional(number) },
    },
    ({ what: flags, iova = 0n, size = 0n, pgsize = PAGE, bmsize, bmmem, argsz }) => ({
      ...{ op: 'dirty', flags, iova, size, pgsize, ...(bmmem !== undefined && { bmmem }) },
      bmsize: bmsize ?? bitmapBytes(size, pgsize),
      argsz: argsz ?? (flags & DIRTY_GET_BITMAP ? DIRTY_ARGSZ.get : DIRTY_ARGSZ.plain),
    }),
  ),
  fail: op({ what: needed(word(...FAULT_KINDS)), n: optional(number) }, ({ n = 1, what }) => ({
    ...{ op: 'fail', what, n },
  })),
  info: plain('info'),
};

const guestEntries = Object.fromEntries([...guestOps].map(([name, { entry }]) => [name, entry]));

/** All ops, by name. */
export const ops: ReadonlyMap<string, Op<Operation>> = new Map(
  Object.entries({ ...entries, ...guestEntries, ...externalEntries, ...notModelledEntries }).map(
    ([name, entry]) => [name, entry(name)],
  ),
);

/** The scenario language with all of them. */
const language = new ScenarioLanguage<Operation>(ops);

/**
 * Reads a scenario for a {@link ModelMachine}.
 *
 * @param script its text, or its lines
 * @param file its file, for messages
 * @returns its steps, arguments not evaluated
 * @throws {InputError} with file, line and what was expected there
 */
export function parseScenario(
  script: string | readonly string[],
  file: string,
): Scenario<Operation> {
  return language.parse(script, file);
}
