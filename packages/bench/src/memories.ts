/** Memories: a backing and the layout in which its frames lie. */
import { InputError } from '@pinfold/base';
import { backings, backingsFor, type Backing } from './backings.ts';
import { layouts, type Layout, type LayoutTag } from './layouts.ts';
import type { MeasuredRow } from './rows.ts';

/** What is mapped. */
export interface Memory {
  /** What the memory is. */
  readonly backing: Backing;
  /** Where its frames lie: folios of the backing's order. */
  readonly layout: Layout;
}

/** The layouts of the reference's tables, which are compared unless others are asked for. */
export const DEFAULT_LAYOUTS: readonly LayoutTag[] = ['S4', 'T4', 'H2', 'H1'];

/** What is asked for; what is left out is everything that suits the rest. */
export interface MemoryChoice {
  /** The backings; default all with which `bytes` can be mapped. */
  readonly backings?: readonly Backing[] | undefined;
  /** The layouts; default {@link DEFAULT_LAYOUTS}. */
  readonly layouts?: readonly Layout[] | undefined;
  /** Size of the mapping; default any. What was asked for stays, whatever the size. */
  readonly bytes?: number | undefined;
}

/** The flags or the places in a file that state the choice, for messages. */
export interface MemoryPlaces {
  /** Of the backings. */
  readonly backings: string;
  /** Of the layouts. */
  readonly layouts: string;
}

/**
 * Pairs backings with the layouts that lay out folios of their size.
 *
 * @param choice what is asked for
 * @param places where it was stated, for messages
 * @returns the pairs: those of small folios first
 * @throws {InputError} when something that was asked for has no partner
 */
export function memoriesOf(
  choice: MemoryChoice,
  places: MemoryPlaces = { backings: 'backings', layouts: 'layouts' },
): Memory[] {
  const chosenBackings = choice.backings ?? backingsOf(choice);
  const chosenLayouts = choice.layouts ?? DEFAULT_LAYOUTS.map((tag) => layouts[tag]);
  for (const backing of choice.backings ?? []) {
    if (chosenLayouts.some(({ order }) => order === backing.order)) continue;
    const fitting = Object.values(layouts).filter(({ order }) => order === backing.order);
    const expected = `a layout of ${backing.name}, such as ${fitting.map(({ tag }) => tag).join(', ')}`;
    throw new InputError(places.layouts, expected, list(chosenLayouts.map(({ tag }) => tag)));
  }
  for (const layout of choice.layouts ?? []) {
    if (chosenBackings.some(({ order }) => order === layout.order)) continue;
    const fitting = backings.filter(({ order }) => order === layout.order);
    const expected = `a backing that lies as ${layout.tag}, such as ${fitting.map(({ name }) => name).join(', ')}`;
    throw new InputError(places.backings, expected, list(chosenBackings.map(({ name }) => name)));
  }
  const pairs = chosenBackings.flatMap((backing) =>
    chosenLayouts
      .filter(({ order }) => order === backing.order)
      .map((layout) => ({ backing, layout })),
  );
  return [...pairs.filter(isSmall), ...pairs.filter((memory) => !isSmall(memory))];
}

/** The backings that suit the size, and those of the layouts that were asked for. */
function backingsOf({ layouts: asked = [], bytes }: MemoryChoice): readonly Backing[] {
  if (bytes === undefined) return backings;
  return backingsFor(bytes, (one) => asked.some(({ order }) => order === one.order));
}

/**
 * Whether a memory is of small folios: of 4 KiB.
 *
 * @param memory the memory
 * @returns true for folios of one page
 */
export function isSmall({ layout }: Pick<Memory, 'layout'>): boolean {
  return layout.order === 0;
}

/**
 * The memory of a row in words.
 *
 * @param row the row
 * @returns for example `4k, S4`
 */
export function memoryName({
  backing,
  layoutTag,
}: Pick<MeasuredRow, 'backing' | 'layoutTag'>): string {
  return `${backing}, ${layoutTag}`;
}

function list(names: readonly string[]): string {
  return `'${names.join(',')}'`;
}
