/**
 * What is stepped through: memory, kernel, algorithms. The address of the page says all of it, so
 * that a link leads to the same step.
 */
import { formatSize, InputError, parseSize } from '@pinfold/base';
import {
  backing,
  checkLargest,
  checkWholePages,
  layout,
  layouts,
  type Backing,
  type LayoutTag,
} from '@pinfold/bench';
import { kernelVersion } from '@pinfold/kernels';
import { pinAlgorithm } from '@pinfold/vfio-type1';

/** The memory, and the kernel that sets its rules. */
export interface Settings {
  /** Name of the backing: what the memory is. */
  readonly backing: string;
  /** Tag of the layout: where its frames lie. */
  readonly layout: LayoutTag;
  /** Size of the mapping in bytes. */
  readonly bytes: number;
  /** Kernel series. */
  readonly kernel: string;
}

/** Name that stands for the algorithm of the chosen kernel. */
export const KERNELS_OWN = 'kernel';

/** How the second algorithm follows the first. */
export type Pace = 'page' | 'step';

/** Everything that the address of the page says. */
export interface PageState {
  /** The memory and the kernel. */
  readonly settings: Settings;
  /** Name of the pin algorithm, or {@link KERNELS_OWN}. */
  readonly algorithm: string;
  /** Name of the algorithm beside it; null: none. */
  readonly versus: string | null;
  /** Whether the second one stops at the same page, or after the same number of steps. */
  readonly pace: Pace;
  /** Number of the step, from 0. */
  readonly step: number;
  /** Function at which a run stops; empty: none. */
  readonly breakpoint: string;
}

/** What the page shows to someone who has chosen nothing. */
export const DEFAULT_STATE: PageState = {
  settings: { backing: 'thp', layout: 'H2', bytes: 16 * 2 ** 20, kernel: '6.18' },
  algorithm: KERNELS_OWN,
  versus: null,
  pace: 'page',
  step: 0,
  breakpoint: '',
};

/** Sizes that the page offers, in bytes. */
const SIZES: readonly number[] = [
  ...[64 * 2 ** 10, 2 ** 20, 4 * 2 ** 20, 16 * 2 ** 20, 64 * 2 ** 20, 512 * 2 ** 20],
  ...[2 ** 30, 2 * 2 ** 30, 4 * 2 ** 30, 16 * 2 ** 30],
];

/** Largest mapping: what a browser's tab has memory for, whatever the layout. */
const MAX_BYTES = 16 * 2 ** 30;

/**
 * Sizes that suit a backing.
 *
 * @param of the backing
 * @returns whole numbers of at least two of its pages, in bytes
 */
export function sizesOf(of: Backing): readonly number[] {
  const page = 4096 * 2 ** of.order;
  return SIZES.filter((bytes) => bytes % page === 0 && bytes >= 2 * page);
}

/**
 * Layouts of folios of a backing's size.
 *
 * @param of the backing
 * @returns their tags; the first is the default
 */
export function layoutsOf(of: Backing): readonly LayoutTag[] {
  return Object.values(layouts)
    .filter(({ order }) => order === of.order)
    .map(({ tag }) => tag);
}

/**
 * Settings with another backing: layout and size stay where they suit it.
 *
 * @param settings what was chosen
 * @param name name of the new backing
 * @returns settings that can be run
 */
export function withBacking(settings: Settings, name: string): Settings {
  const chosen = backing(name);
  const tags = layoutsOf(chosen);
  const sizes = sizesOf(chosen);
  return {
    ...settings,
    backing: name,
    layout: tags.includes(settings.layout) ? settings.layout : tags[0],
    bytes: sizes.includes(settings.bytes) ? settings.bytes : sizes[0],
  };
}

/**
 * Reads the page's state from its address.
 *
 * @param params the address's parameters; what is absent has its default
 * @returns the state
 * @throws {InputError} when a parameter is none that can be run
 */
export function readState(params: URLSearchParams): PageState {
  const { settings, ...rest } = DEFAULT_STATE;
  const chosen = backing(params.get('backing') ?? settings.backing);
  const fallback = withBacking(settings, chosen.name);
  const size = params.get('size');
  const read: Settings = {
    backing: chosen.name,
    layout: layoutFor(chosen, params.get('layout') ?? fallback.layout),
    bytes: size === null ? fallback.bytes : sizeFor(chosen, size),
    kernel: kernelVersion(params.get('kernel') ?? settings.kernel).series,
  };
  const versus = params.get('versus');
  return {
    settings: read,
    algorithm: algorithmName(params.get('algorithm') ?? rest.algorithm),
    versus: versus === null ? null : algorithmName(versus),
    pace: params.get('pace') === 'step' ? 'step' : 'page',
    step: stepNumber(params.get('step') ?? '0'),
    breakpoint: params.get('break') ?? '',
  };
}

/**
 * Writes the page's state as parameters of an address.
 *
 * @param state the state
 * @returns parameters from which {@link readState} reads the same
 */
export function writeState(state: PageState): URLSearchParams {
  const { settings, algorithm, versus, pace, step, breakpoint } = state;
  const params = new URLSearchParams({
    backing: settings.backing,
    layout: settings.layout,
    size: formatSize(settings.bytes),
    kernel: settings.kernel,
  });
  if (algorithm !== KERNELS_OWN) params.set('algorithm', algorithm);
  if (versus !== null) params.set('versus', versus);
  if (versus !== null && pace !== 'page') params.set('pace', pace);
  if (step > 0) params.set('step', String(step));
  if (breakpoint !== '') params.set('break', breakpoint);
  return params;
}

function layoutFor(chosen: Backing, tag: string): LayoutTag {
  const found = layout(tag).tag;
  const tags = layoutsOf(chosen);
  if (tags.includes(found)) return found;
  throw new InputError('layout', `one of ${chosen.name}: ${tags.join(', ')}`, `'${tag}'`);
}

function sizeFor(chosen: Backing, text: string): number {
  const bytes = parseSize(text, 'size');
  checkWholePages(bytes, chosen, 'size');
  checkLargest(bytes, chosen, 'size');
  if (bytes <= MAX_BYTES) return bytes;
  throw new InputError('size', `at most ${formatSize(MAX_BYTES)} on this page`, `'${text}'`);
}

function algorithmName(name: string): string {
  return name === KERNELS_OWN ? name : pinAlgorithm(name).name;
}

function stepNumber(text: string): number {
  const step = Number(text);
  if (Number.isSafeInteger(step) && step >= 0) return step;
  throw new InputError('step', 'a whole number from 0', `'${text}'`);
}
