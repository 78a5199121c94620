/**
 * A table of pages as runs, of which every version stays as it was: what an IOMMU or a process maps,
 * step by step. A change costs the runs that it touches, however long the table is.
 */
import { SpanTree, type Span } from '@pinfold/base';

/** What runs of a kind can do. */
export interface RunKind<R extends Span> {
  /**
   * A part of a run.
   *
   * @param run the run
   * @param at first page of the part
   * @param npage its length in pages
   * @returns the part
   */
  readonly part: (run: R, at: number, npage: number) => R;
  /**
   * Whether a run goes on in another that begins where it ends, so that both are one.
   *
   * @param run the run
   * @param next the run after it
   * @returns true if so
   */
  readonly goesOn: (run: R, next: R) => boolean;
}

/** What became of a range of a table. */
export interface Replaced<R extends Span> {
  /** The table after it. */
  readonly runs: Runs<R>;
  /** Its runs in the range as they were. */
  readonly old: readonly R[];
  /** Its runs in the range as they are. */
  readonly fresh: readonly R[];
}

/** A table as runs, in order, none of which overlap. */
export class Runs<R extends Span> {
  readonly #kind: RunKind<R>;
  readonly #tree: SpanTree<R>;
  /** Where it differs from the version before it: from the first page up to the one after the last. */
  readonly changed: readonly [from: number, to: number];

  /**
   * @param kind what its runs can do
   * @param tree its runs; default none
   * @param changed where it differs from the version before it; default: everywhere
   */
  constructor(
    kind: RunKind<R>,
    tree: SpanTree<R> = SpanTree.empty<R>(),
    changed: readonly [from: number, to: number] = [0, Infinity],
  ) {
    this.#kind = kind;
    this.#tree = tree;
    this.changed = changed;
  }

  /** Number of runs. */
  get size(): number {
    return this.#tree.size;
  }

  /**
   * The run that has a page.
   *
   * @param page the page
   * @returns the run; undefined without one
   */
  at(page: number): R | undefined {
    const run = this.#tree.before(page + 1);
    return run && run.at + run.npage > page ? run : undefined;
  }

  /**
   * The table with other runs in a range; those that reach into it are cut, and what goes on is joined.
   *
   * @param from first page of the range
   * @param to first page after it
   * @param runs what is there now, in order
   * @returns the table, and what has changed: nothing, and this table, if all is as it was
   */
  replace(from: number, to: number, runs: readonly R[]): Replaced<R> {
    const { part } = this.#kind;
    const all: R[] = [];
    let [first, end] = [from, to];
    const before = this.#tree.before(from);
    if (before && before.at + before.npage >= from) {
      first = before.at;
      all.push(part(before, first, from - first));
    }
    for (const run of runs) all.push(run);
    const last = this.#tree.before(to + 1);
    if (last && last.at + last.npage > to) {
      end = to + 1;
      all.push(part(last, to, last.at + last.npage - to));
    }
    const fresh = this.#joined(all);
    const old = [...this.#tree.overlapping(first, end)];
    if (sameRuns(old, fresh)) return { runs: this, old: [], fresh: [] };
    const tree = this.#tree.withRange(first, end, fresh);
    return { runs: new Runs(this.#kind, tree, [first, endOf(old, fresh)]), old, fresh };
  }

  /**
   * The runs that have a page in a range, whole.
   *
   * @param from first page of the range
   * @param to first page after it
   * @returns the runs, one by one
   */
  overlapping(from: number, to: number): Iterable<R> {
    return this.#tree.overlapping(from, to);
  }

  /**
   * All runs.
   *
   * @returns the runs in order, one by one
   */
  [Symbol.iterator](): Iterator<R> {
    return this.#tree[Symbol.iterator]();
  }

  #joined(runs: readonly R[]): R[] {
    const { part, goesOn } = this.#kind;
    const joined: R[] = [];
    for (const run of runs) {
      const last = joined.at(-1);
      if (last && last.at + last.npage === run.at && goesOn(last, run)) {
        joined[joined.length - 1] = part(last, last.at, last.npage + run.npage);
      } else joined.push(run);
    }
    return joined;
  }
}

/** The page after the last of two lists of runs. */
function endOf(...lists: readonly (readonly Span[])[]): number {
  return lists.reduce((end, runs) => {
    const last = runs.at(-1);
    return last ? Math.max(end, last.at + last.npage) : end;
  }, 0);
}

function sameRuns<R extends Span>(old: readonly R[], fresh: readonly R[]): boolean {
  if (old.length !== fresh.length) return false;
  return old.every((run, i) => {
    const other = fresh[i];
    return (Object.keys(run) as (keyof R)[]).every((name) => run[name] === other[name]);
  });
}
