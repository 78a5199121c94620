/** How soon the check finds a wrong variant. */
import { readdirSync, readFileSync } from 'node:fs';
import type { PinAlgorithm } from '@pinfold/vfio-type1';
import { checkedOf, runBatch, smallestFinding, type CheckFinding } from '../../src/index.ts';
import { algorithmOf, variantsOf, type Variant } from './mutate.ts';

/** The right algorithms of which variants are made. */
const FOLDER = new URL('../../examples/algorithms/', import.meta.url);
/** Sequences between two looks at what was found. */
const STEP = 25;

/** Names and texts of the right algorithms. */
export function rightFiles(): { readonly name: string; readonly text: string }[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.ts'))
    .sort()
    .map((file) => ({
      name: file.replace(/\.ts$/, ''),
      text: readFileSync(new URL(file, FOLDER), 'utf8'),
    }));
}

/** Every variant of all of them. */
export function allVariants(): Variant[] {
  return rightFiles().flatMap(({ name, text }) => variantsOf(name, text));
}

/** What the check has made of a variant. */
export interface Search {
  /** Number of the first sequence that shows something, or of sequences that were run. */
  readonly sequences: number;
  /** Whether something was found. */
  readonly found: boolean;
  /** Seconds of CPU until then. */
  readonly seconds: number;
  /** Steps of the smallest counterexample, if it was made. */
  readonly steps: number | null;
}

/**
 * Looks for a sequence on which a variant goes wrong.
 *
 * @param variant the variant
 * @param runs sequences at most
 * @param shrinks whether to make the counterexample small
 * @returns how it went
 */
export function search(variant: Variant, runs: number, shrinks = false): Search {
  return searchIn(algorithmOf(variant), runs, shrinks);
}

/** {@link search} for an algorithm. */
export function searchIn(algorithm: PinAlgorithm, runs: number, shrinks: boolean): Search {
  const checked = checkedOf({ algorithm });
  const before = process.cpuUsage();
  for (let from = 0; from < runs; from += STEP) {
    const { found } = runBatch(checked, 1, from, Math.min(STEP, runs - from));
    const raw = found.find(({ known }) => known === null);
    if (!raw) continue;
    const seconds = secondsSince(before);
    const small: CheckFinding | null = shrinks ? smallestFinding(checked, 1, raw) : null;
    const steps = small?.sequence.operations.length ?? null;
    return { sequences: raw.index, found: true, seconds, steps };
  }
  return { sequences: runs, found: false, seconds: secondsSince(before), steps: null };
}

function secondsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
