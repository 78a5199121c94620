/**
 * The line `machine` of a scenario: the machine that it is for, where that is not the default. It is
 * pinfold's own; all numbers are page frames and pages.
 */
import { InputError, type Pfn } from '@pinfold/base';
import { extents } from './argument-kinds.ts';
import { hex } from '../hex.ts';

/** Frames that follow each other. */
export interface FrameRange {
  /** First frame. */
  readonly pfn: Pfn;
  /** Number of frames. */
  readonly npage: number;
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
}

const MODELS: Readonly<Record<string, MachineMemoryModel>> = {
  vmemmap: 'sparsemem-vmemmap',
  sparsemem: 'sparsemem',
};
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
    else if (key === 'hugepages' && /^\d{1,6}$/.test(value)) line.hugepages = Number(value);
    else {
      const expected =
        'machine [memory=PFNxN,...] [model=vmemmap|sparsemem] [bar=PFNxN] [hugepages=N]';
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
export function machineLineText({ memory, model, bar, hugepages }: MachineLine): string {
  const range = ({ pfn, npage }: { pfn: number; npage: number }): string => `${hex(pfn)}x${npage}`;
  return [
    'machine',
    ...(memory ? [`memory=${memory.map(range).join(',')}`] : []),
    ...(model ? [`model=${model === 'sparsemem' ? model : 'vmemmap'}`] : []),
    ...(bar ? [`bar=${range(bar)}`] : []),
    ...(hugepages === undefined ? [] : [`hugepages=${hugepages}`]),
  ].join(' ');
}
