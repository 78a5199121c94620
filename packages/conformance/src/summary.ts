/** Sums of conformance results: per kernel, family and level, with the reasons of what was skipped. */
import type { RecordingResult, StepResult, Verdict } from './conformance.ts';
import type { Exclusion } from './levels/level.ts';

/** Step-levels by verdict. */
export type VerdictCounts = Record<Verdict, number>;

/** The results of a family on a kernel. */
export interface SummaryRow {
  /** The recorded kernel. */
  readonly kernel: string;
  /** The family. */
  readonly family: string;
  /** Recordings. */
  readonly recordings: number;
  /** Step-levels per level, by the level's name. */
  readonly levels: Readonly<Record<string, VerdictCounts>>;
}

/** A recording with a step that was not as recorded. */
export interface FailedRecording {
  /** The recording's file. */
  readonly file: string;
  /** The first step that failed. */
  readonly first: StepResult;
  /** Step-levels that failed, the first included. */
  readonly failed: number;
}

/** What many results come to. */
export interface Summary {
  /** All step-levels. */
  readonly total: VerdictCounts;
  /** One row per kernel and family, in the order of their names. */
  readonly rows: readonly SummaryRow[];
  /** Recordings with a failure, in the order of the results. */
  readonly failures: readonly FailedRecording[];
  /** Step-levels per reason for which they were skipped, most first. */
  readonly skips: readonly { readonly reason: string; readonly count: number }[];
  /** What the levels leave out, per kernel. */
  readonly exclusions: readonly (Exclusion & { readonly kernel: string; readonly level: string })[];
}

/**
 * Sums up results.
 *
 * @param recordings the results
 * @returns their sums
 */
export function summarize(recordings: readonly RecordingResult[]): Summary {
  const results = recordings.flatMap((recording) => recording.results);
  return {
    total: countVerdicts(results),
    rows: rowsOf(recordings),
    failures: recordings.flatMap(failureOf),
    skips: skipsOf(results),
    exclusions: exclusionsOf(recordings),
  };
}

function countVerdicts(results: readonly StepResult[]): VerdictCounts {
  const counts: VerdictCounts = { passed: 0, failed: 0, skipped: 0 };
  for (const { verdict } of results) counts[verdict]++;
  return counts;
}

function rowsOf(recordings: readonly RecordingResult[]): SummaryRow[] {
  const groups = groupBy(recordings, ({ kernel, family }) => `${kernel} ${family}`);
  const rows = [...groups.values()].map((group): SummaryRow => {
    const [{ kernel, family }] = group;
    const results = group.flatMap((recording) => recording.results);
    const byLevel = [...groupBy(results, ({ level }) => level)];
    const levels = Object.fromEntries(byLevel.map(([name, of]) => [name, countVerdicts(of)]));
    return { kernel, family, recordings: group.length, levels };
  });
  return rows.sort((a, b) => compareNames(a.kernel, b.kernel) || compareNames(a.family, b.family));
}

function compareNames(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

function failureOf({ file, results }: RecordingResult): FailedRecording[] {
  const failed = results.filter(({ verdict }) => verdict === 'failed');
  const [first] = failed;
  return first ? [{ file, first, failed: failed.length }] : [];
}

function skipsOf(results: readonly StepResult[]): { reason: string; count: number }[] {
  const groups = groupBy(
    results.filter(({ verdict }) => verdict === 'skipped'),
    ({ reason = '' }) => reason,
  );
  return [...groups]
    .map(([reason, { length }]) => ({ reason, count: length }))
    .sort((a, b) => b.count - a.count);
}

function exclusionsOf(recordings: readonly RecordingResult[]): Summary['exclusions'] {
  const found = new Map<string, Summary['exclusions'][number]>();
  for (const { kernel, exclusions } of recordings) {
    for (const [level, list] of Object.entries(exclusions)) {
      for (const exclusion of list) {
        found.set(`${kernel} ${level} ${exclusion.name}`, { kernel, level, ...exclusion });
      }
    }
  }
  return [...found.values()];
}

function groupBy<Item>(
  items: readonly Item[],
  key: (item: Item) => string,
): Map<string, [Item, ...Item[]]> {
  const groups = new Map<string, [Item, ...Item[]]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}
