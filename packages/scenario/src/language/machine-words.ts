/** The words of a `machine` line: how each is read and written. */
import { byteAddress, formatSize, InputError, PAGE_SIZE, pageNumber } from '@pinfold/base';
import { bytes, extents } from './argument-kinds.ts';
import { hex } from '../hex.ts';
import type {
  FrameRange,
  MachineLine,
  MachineMemoryModel,
  MachinePool,
  ReservedRange,
  WritableLine,
} from './machine-line.ts';

/** A word of the line. */
export interface MachineWord {
  /** What stands before its `=`. */
  readonly key: RegExp;
  /** How it is written, for messages. */
  readonly usage: string;
  /** Takes the value of a word into a line. */
  readonly read: (line: WritableLine, value: string, place: string, key: string) => void;
  /** The words that say of a line what it has of this. */
  readonly write: (line: MachineLine) => readonly string[];
}

const MODELS: Readonly<Record<string, MachineMemoryModel>> = {
  vmemmap: 'sparsemem-vmemmap',
  sparsemem: 'sparsemem',
};
const PAGE_BYTES = BigInt(PAGE_SIZE);
/** Memory of a machine at most: 16 TiB. */
const MAX_MEMORY = 2n ** 44n;
/** Bytes of a BAR at most: what 52 address bits reach. */
const MAX_BAR = 2n ** 52n;
/** Pages of a pool at most. */
const MAX_POOL = 999_999_999;

const USERS: Readonly<Record<string, boolean>> = { root: true, plain: false };

/** All words, in the order in which they are written. */
export const machineWords: readonly MachineWord[] = [
  {
    key: /^kernel$/,
    usage: 'kernel=RELEASE',
    read: (line, value) => (line.kernel = value),
    write: ({ kernel }) => said('kernel', kernel),
  },
  {
    key: /^memory$/,
    usage: 'memory=SIZE or PFNxN,...',
    read: (line, value, place) => {
      if (/x\d/.test(value.replace(/^0x/i, ''))) line.memory = frames(value, place);
      else line.bytes = sizeOf(value, place, PAGE_BYTES, MAX_MEMORY);
    },
    write: ({ memory, bytes: size }) => [
      ...said('memory', size === undefined ? undefined : formatSize(size)),
      ...said('memory', memory?.map(rangeText).join(',')),
    ],
  },
  {
    key: /^model$/,
    usage: 'model=vmemmap|sparsemem',
    read: (line, value, place) => {
      line.model = wordOf(MODELS, value, place);
    },
    write: ({ model }) => said('model', model === 'sparsemem-vmemmap' ? 'vmemmap' : model),
  },
  {
    key: /^page$/,
    usage: 'page=4K',
    read: (line, value, place) => (line.page = sizeOf(value, place, PAGE_BYTES, 2n ** 16n)),
    write: ({ page }) => said('page', page === undefined ? undefined : formatSize(page)),
  },
  {
    key: /^bar$/,
    usage: 'bar=PFNxN',
    read: (line, value, place) => (line.bar = frames(value, place)[0]),
    write: ({ bar }) => said('bar', bar && rangeText(bar)),
  },
  {
    key: /^bar\.[A-Za-z_][\w-]*\.\d$/,
    usage: 'bar.DEVICE.N=SIZE[@ADDRESS]',
    read: readBar,
    write: ({ bars = [] }) =>
      bars.map(({ dev, bar, bytes: size, address }) => {
        const at = address === undefined ? '' : `@0x${address.toString(16)}`;
        return `bar.${dev}.${bar}=${formatSize(size)}${at}`;
      }),
  },
  {
    key: /^hugepages$/,
    usage: 'hugepages=N',
    read: (line, value, place) => (line.hugepages = pagesOf(value, place)),
    write: ({ hugepages }) => said('hugepages', hugepages),
  },
  {
    key: /^pool\d+[kmg]$/i,
    usage: 'pool2m=N or SIZE',
    read: (line, value, place, key) => {
      const pageBytes = sizeOf(
        key.slice('pool'.length).toUpperCase(),
        place,
        PAGE_BYTES,
        2n ** 40n,
      );
      const pool = poolOf(value, pageBytes, place);
      line.pools = [...(line.pools ?? []).filter((one) => one.pageBytes !== pageBytes), pool];
    },
    write: ({ pools = [] }) =>
      pools.map(({ pageBytes, pages }) => `pool${formatSize(pageBytes).toLowerCase()}=${pages}`),
  },
  {
    key: /^iommu$/,
    usage: 'iommu=KIND',
    read: (line, value) => (line.iommu = value),
    write: ({ iommu }) => said('iommu', iommu),
  },
  {
    key: /^aw$/,
    usage: 'aw=BITS',
    read: (line, value, place) => {
      if (!/^\d{2}$/.test(value)) throw new InputError(place, 'bits, such as 39', `'${value}'`);
      line.aw = Number(value);
    },
    write: ({ aw }) => said('aw', aw),
  },
  {
    key: /^resv$/,
    usage: 'resv=ADDRESS-ADDRESS,...',
    read: (line, value, place) => (line.resv = reserved(value, place)),
    write: ({ resv }) => said('resv', resv?.map(regionText).join(',')),
  },
  {
    key: /^group\.[\w-]+$/,
    usage: 'group.NUMBER=DEVICE,!DEVICE,...',
    read: readGroup,
    write: ({ groups = [] }) =>
      groups.map(({ name, devices, hostDriven }) => {
        const all = [...devices, ...hostDriven.map((device) => `!${device}`)];
        return `group.${name}=${all.join(',')}`;
      }),
  },
  {
    key: /^param\.\w+$/,
    usage: 'param.NAME=VALUE',
    read: (line, value, _place, key) => {
      line.params = { ...line.params, [key.slice('param.'.length)]: value };
    },
    write: ({ params = {} }) =>
      Object.entries(params).map(([name, value]) => `param.${name}=${value}`),
  },
  {
    key: /^thp$/,
    usage: 'thp=always|madvise|never',
    read: (line, value) => (line.thp = value),
    write: ({ thp }) => said('thp', thp),
  },
  {
    key: /^shmem$/,
    usage: 'shmem=always|advise|...',
    read: (line, value) => (line.shmem = value),
    write: ({ shmem }) => said('shmem', shmem),
  },
  {
    key: /^memlock$/,
    usage: 'memlock=SIZE|unlimited',
    read: (line, value, place) => {
      line.memlock = value === 'unlimited' ? Infinity : sizeOf(value, place, 0n, 2n ** 53n - 1n);
    },
    write: ({ memlock }) =>
      said(
        'memlock',
        memlock === undefined
          ? undefined
          : memlock === Infinity
            ? 'unlimited'
            : formatSize(memlock),
      ),
  },
  {
    key: /^user$/,
    usage: 'user=root|plain',
    read: (line, value, place) => {
      line.capIpcLock = wordOf(USERS, value, place);
    },
    write: ({ capIpcLock }) =>
      said('user', capIpcLock === undefined ? undefined : capIpcLock ? 'root' : 'plain'),
  },
];

function said(key: string, value: string | number | undefined): string[] {
  return value === undefined ? [] : [`${key}=${value}`];
}

function wordOf<Value>(
  words: Readonly<Record<string, Value>>,
  value: string,
  place: string,
): Value {
  if (Object.hasOwn(words, value)) return words[value];
  throw new InputError(place, Object.keys(words).join(' or '), `'${value}'`);
}

/** Frames of consecutive pages, of no particular order. */
function frames(value: string, place: string): FrameRange[] {
  return extents
    .read(value, place)
    .evaluate(new Map())
    .map(({ pfn, npage }) => ({ pfn, npage }));
}

/** A size in bytes. */
function sizeOf(value: string, place: string, min: bigint, max: bigint): number {
  const size = bytes.read(value, place).evaluate(new Map());
  if (size >= min && size <= max) return Number(size);
  const [from, to] = [min, max].map((end) => formatSize(Number(end)));
  throw new InputError(place, `a size from ${from} to ${to}`, `'${value}'`);
}

function pagesOf(value: string, place: string): number {
  const pages = /^\d{1,9}$/.test(value) ? Number(value) : MAX_POOL + 1;
  if (pages <= MAX_POOL) return pages;
  throw new InputError(place, `a number of pages up to ${MAX_POOL}`, `'${value}'`);
}

/** Pages of a pool: their number, or what they have together, such as `64G`. */
function poolOf(value: string, pageBytes: number, place: string): MachinePool {
  if (!/[KMGT]$/i.test(value)) return { pageBytes, pages: pagesOf(value, place) };
  const size = sizeOf(value.toUpperCase(), place, 0n, MAX_MEMORY);
  if (size % pageBytes === 0) return { pageBytes, pages: size / pageBytes };
  throw new InputError(place, `whole pages of ${formatSize(pageBytes)}`, `'${value}'`);
}

function readBar(line: WritableLine, value: string, place: string, key: string): void {
  const [, dev, bar] = key.split('.');
  const [size = '', at, more] = value.split('@');
  const length = sizeOf(size, place, PAGE_BYTES, MAX_BAR);
  if (more !== undefined || !Number.isInteger(Math.log2(length))) {
    throw new InputError(place, 'a size that is a power of two, such as 128G', `'${value}'`);
  }
  const address = at === undefined ? undefined : sizeOf(at, place, PAGE_BYTES, MAX_BAR);
  if (address !== undefined && address % PAGE_SIZE !== 0) {
    throw new InputError(place, 'the address of a page behind the @', `'${value}'`);
  }
  const read = { dev, bar: Number(bar), bytes: length, ...(address !== undefined && { address }) };
  line.bars = [...(line.bars ?? []), read];
}

function readGroup(line: WritableLine, value: string, place: string, key: string): void {
  const names = value.split(',');
  for (const name of names) {
    if (/^!?[A-Za-z_][\w-]*$/.test(name)) continue;
    throw new InputError(place, 'names of devices, such as gpu0,!audio0', `'${value}'`);
  }
  const isHosts = (name: string): boolean => name.startsWith('!');
  const group = {
    name: key.slice('group.'.length),
    devices: names.filter((name) => !isHosts(name)),
    hostDriven: names.filter(isHosts).map((name) => name.slice(1)),
  };
  line.groups = [...(line.groups ?? []), group];
}

/** Reads reserved addresses, such as `0xfd00000000-0xffffffffff`: whole pages. */
function reserved(text: string, place: string): ReservedRange[] {
  return text.split(',').map((item) => {
    const [from = '', to = '', more] = item.split('-');
    const [first, last] = [from, to].map((end) => bytes.read(end, place).evaluate(new Map()));
    const whole = first % PAGE_BYTES === 0n && (last + 1n) % PAGE_BYTES === 0n;
    if (more !== undefined || first > last || !whole) {
      const expected = 'the first and the last byte of whole pages, such as 0xfee00000-0xfeefffff';
      throw new InputError(place, expected, `'${item}'`);
    }
    return { start: pageNumber(first), last: pageNumber(last) };
  });
}

function rangeText({ pfn, npage }: FrameRange): string {
  return `${hex(pfn)}x${npage}`;
}

function regionText({ start, last }: ReservedRange): string {
  const [first, end] = [byteAddress(start), byteAddress(last) + PAGE_BYTES - 1n];
  return `0x${first.toString(16)}-0x${end.toString(16)}`;
}
