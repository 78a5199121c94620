/** A fact about kernels: what a rule is, and since which release. */
import { seriesNumber } from '../series.ts';

/** A value of a rule, and the first release that has it. */
export interface Fact<Value = unknown> {
  /** The first series with it, for example `6.18`; null for what the oldest has. */
  readonly since: string | null;
  /** The value. */
  readonly value: Value;
  /** What it means, as half a sentence that `since 6.18:` may precede. */
  readonly what: string;
  /** Kernel function or recording that shows it. */
  readonly source: string;
}

/** The values of one rule, oldest first. */
export type History<Value> = readonly [Fact<Value>, ...Fact<Value>[]];

/** The histories of a table of rules: one of each rule. */
export type Histories<Rules> = {
  readonly [Rule in Exclude<keyof Rules, 'source'>]-?: History<Exclude<Rules[Rule], undefined>>;
};

/**
 * The value that a rule has in the oldest releases.
 *
 * @param value the value
 * @param what what it means, as half a sentence
 * @param source kernel function or recording
 * @returns the fact
 */
export function initially<const Value>(value: Value, what: string, source: string): Fact<Value> {
  return { since: null, value, what, source };
}

/**
 * A value that a rule has from some release on.
 *
 * @param series the first series that has it
 * @param value the value
 * @param what what it means, as half a sentence
 * @param source kernel function or recording
 * @returns the fact
 */
export function since<const Value>(
  series: string,
  value: Value,
  what: string,
  source: string,
): Fact<Value> {
  return { since: series, value, what, source };
}

/**
 * What holds in a release.
 *
 * @param history the values of a rule
 * @param series the release's series
 * @returns the newest fact that is not newer than the release
 */
export function factIn<Value>(history: History<Value>, series: string): Fact<Value> {
  const known = history.filter(
    (fact) => fact.since === null || seriesNumber(fact.since) <= seriesNumber(series),
  );
  return known.at(-1) ?? history[0];
}

/**
 * The table of rules of a release, and what it rests on.
 *
 * @param histories the history of every rule
 * @param series the release's series
 * @returns the plain table, with the sources of its values, each once
 */
export function tableIn<Rules extends { readonly source: string }>(
  histories: Histories<Rules>,
  series: string,
): Rules {
  const entries = Object.entries<History<unknown>>(histories);
  const facts = entries.map(([rule, history]) => [rule, factIn(history, series)] as const);
  const source = [...new Set(facts.map(([, fact]) => fact.source))].join('; ');
  const table = Object.fromEntries(facts.map(([rule, { value }]) => [rule, value]));
  // `Histories` has a history for every rule, which `Object.fromEntries` forgets.
  return { ...table, source } as unknown as Rules;
}
