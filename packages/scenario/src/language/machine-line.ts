/**
 * The line `machine` of a scenario: the machine that it is for, where that is not the default. It is
 * pinfold's own; all numbers are page frames and pages.
 */
import { byteAddress, InputError, PAGE_SIZE, pageNumber, type Pfn } from '@pinfold/base';
import { bytes, extents } from './argument-kinds.ts';
import { hex } from '../hex.ts';

/** Frames that follow each other. */
export interface FrameRange {
  /** First frame. */
  readonly pfn: Pfn;
  /** Number of frames. */
  readonly npage: number;
}

/** I/O virtual addresses that no device may use. */
export interface ReservedRange {
  /** First page. */
  readonly start: number;
  /** Last page, inclusive. */
  readonly last: number;
}

/** How a kernel finds a `struct page`: in one virtual array, or in an array per section. */
export type MachineMemoryModel = 'sparsemem-vmemmap' | 'sparsemem';

/** What a `machine` line may say. */
export interface MachineLine {
  /** Physical memory: `memory=PFNxN,...`. */
  readonly memory?: readonly FrameRange[];
  /** How the kernel finds a `struct page`: `model=vmemmap` or `model=sparsemem`. */
  readonly model?: MachineMemoryModel;
  /** Place and length of the BAR 2 of `ivsh16`: `bar=PFNxN`. */
  readonly bar?: FrameRange;
  /** Huge pages of 2 MiB in the pool: `hugepages=N`. */
  readonly hugepages?: number;
  /** Kind of the IOMMU: `iommu=amd`. */
  readonly iommu?: string;
  /** Input address width of the IOMMU in bits: `aw=39`. */
  readonly aw?: number;
  /** Addresses that are reserved besides the IOMMU's own, the last included: `resv=A-B,...`. */
  readonly resv?: readonly ReservedRange[];
}

const MODELS: Readonly<Record<string, MachineMemoryModel>> = {
  vmemmap: 'sparsemem-vmemmap',
  sparsemem: 'sparsemem',
};
const PAGE_BYTES = BigInt(PAGE_SIZE);

/**
 * Reads the words of a `machine` line.
 *
 * @param words the words behind `machine`
 * @param place file and line, for messages
 * @returns what it says
 * @throws {InputError} for a word that it does not have
 */
export function readMachineLine(words: readonly string[], place: string): MachineLine {
  const line: { -readonly [Key in keyof MachineLine]: MachineLine[Key] } = {};
  for (const word of words) {
    const [, key = '', value = ''] = /^(\w+)=(\S+)$/.exec(word) ?? [];
    const frames = (): { pfn: number; npage: number }[] =>
      extents
        .read(value, `${place}: ${key}`)
        .evaluate(new Map())
        .map(({ pfn, npage }) => ({ pfn, npage }));
    if (key === 'memory') line.memory = frames();
    else if (key === 'model' && Object.hasOwn(MODELS, value)) line.model = MODELS[value];
    else if (key === 'bar') line.bar = frames()[0];
    else if (key === 'iommu') line.iommu = value;
    else if (key === 'aw' && /^\d{2}$/.test(value)) line.aw = Number(value);
    else if (key === 'resv') line.resv = reserved(value, `${place}: resv`);
    else if (key === 'hugepages' && /^\d{1,6}$/.test(value)) line.hugepages = Number(value);
    else {
      const expected =
        'machine [memory=PFNxN,...] [model=vmemmap|sparsemem] [bar=PFNxN] [hugepages=N] ' +
        '[iommu=KIND] [aw=BITS] [resv=ADDRESS-ADDRESS,...]';
      throw new InputError(place, expected, `'${word}'`);
    }
  }
  return line;
}

/**
 * The line of a machine, as {@link readMachineLine} reads it.
 *
 * @param line what it says
 * @returns the line
 */
export function machineLineText(line: MachineLine): string {
  const { memory, model, bar, hugepages, iommu, aw, resv } = line;
  const range = ({ pfn, npage }: { pfn: number; npage: number }): string => `${hex(pfn)}x${npage}`;
  return [
    'machine',
    ...(memory ? [`memory=${memory.map(range).join(',')}`] : []),
    ...(model ? [`model=${model === 'sparsemem' ? model : 'vmemmap'}`] : []),
    ...(bar ? [`bar=${range(bar)}`] : []),
    ...(hugepages === undefined ? [] : [`hugepages=${hugepages}`]),
    ...(iommu === undefined ? [] : [`iommu=${iommu}`]),
    ...(aw === undefined ? [] : [`aw=${aw}`]),
    ...(resv ? [`resv=${resv.map(regionText).join(',')}`] : []),
  ].join(' ');
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

function regionText({ start, last }: ReservedRange): string {
  const [first, end] = [byteAddress(start), byteAddress(last) + PAGE_BYTES - 1n];
  return `0x${first.toString(16)}-0x${end.toString(16)}`;
}
