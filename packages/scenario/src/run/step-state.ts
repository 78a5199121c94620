/**
 * The state after a step. A step shows layouts and the IOMMU page table only when they changed;
 * what it does not show is as it was.
 *
 * @source recordings README, "Recording format"
 */
import type { IommuTable, LayoutExtent, Observation } from '../machine/observation.ts';
import { ShownLayouts } from '../machine/shown-layouts.ts';

/** The state after a step. */
export interface StepState<Shown extends Observation = Observation> {
  /** What the step itself showed. */
  readonly shown: Shown;
  /** Layout of every region that was shown so far. */
  readonly layout: KnownLayouts;
  /** The IOMMU page table; undefined while none was shown, and without a type1 container. */
  readonly table: IommuTable | undefined;
  /** Those of further devices that were shown so far, by alias. */
  readonly tables: ReadonlyMap<string, IommuTable>;
}

/** A layout from the step on that showed it. */
interface Version {
  readonly step: number;
  readonly shown: NonNullable<Observation['layout']>;
  /** The list, once somebody has read it while it was the newest. */
  list?: readonly LayoutExtent[];
}

/** The layouts after a step. All steps share one history: a step costs what it shows. */
export class KnownLayouts {
  readonly #history: ReadonlyMap<string, readonly Version[]>;
  readonly #step: number;

  /**
   * @param history the versions of each region, oldest first
   * @param step the step
   */
  constructor(history: ReadonlyMap<string, readonly Version[]>, step: number) {
    this.#history = history;
    this.#step = step;
  }

  /**
   * The regions that were shown so far.
   *
   * @returns their names, in the order in which they were shown first
   */
  *keys(): Generator<string, void> {
    for (const [name, [first]] of this.#history) if (first.step <= this.#step) yield name;
  }

  /**
   * The layout of a region.
   *
   * @param name its name
   * @returns the extents, the same list as long as no step shows another; undefined before the first
   */
  get(name: string): readonly LayoutExtent[] | undefined {
    const version = this.#versionOf(name);
    if (!version) return undefined;
    const isNewest = this.#history.get(name)?.at(-1) === version;
    return isNewest ? (version.list ??= version.shown[name]) : version.shown[name];
  }

  /**
   * The extents of a region that have a page in a range.
   *
   * @param name its name
   * @param from first page of the range, counted from the start of the region
   * @param to first page after it
   * @returns the extents, whole; none of a region that was not shown
   */
  between(name: string, from: number, to: number): Iterable<LayoutExtent> {
    const version = this.#versionOf(name);
    return version ? ShownLayouts.between(version.shown, name, from, to) : [];
  }

  /**
   * All of them.
   *
   * @returns name and extents of each region
   */
  *[Symbol.iterator](): Generator<[name: string, extents: readonly LayoutExtent[]], void> {
    for (const name of this.keys()) yield [name, this.get(name) ?? []];
  }

  #versionOf(name: string): Version | undefined {
    const versions = this.#history.get(name) ?? [];
    let [low, high] = [0, versions.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (versions[middle].step <= this.#step) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? undefined : versions[low - 1];
  }
}

/** Follows the steps of one process, and carries over what they do not show. */
export class StateTracker {
  readonly #history = new Map<string, Version[]>();
  #step = 0;
  #table: IommuTable | undefined;
  #tables: ReadonlyMap<string, IommuTable> = new Map();
  /** Whether the process has opened an iommufd, which shows no capabilities. */
  #iommufd = false;

  /**
   * Takes the next step in.
   *
   * @param shown what it showed
   * @returns the state after it
   */
  after<Shown extends Observation>(shown: Shown): StepState<Shown> {
    const step = ++this.#step;
    if (shown.layout) {
      for (const name of Object.keys(shown.layout)) this.#add(name, { step, shown: shown.layout });
    }
    if (shown.op === 'iofd') this.#iommufd = true;
    // Without a container there is no domain, whatever the table was before.
    if (shown.avail === undefined && !this.#iommufd) this.#table = undefined;
    if (shown.iommu) this.#table = shown.iommu;
    if (shown.tables) this.#tables = new Map([...this.#tables, ...Object.entries(shown.tables)]);
    const layout = new KnownLayouts(this.#history, step);
    return { shown, layout, table: this.#table, tables: this.#tables };
  }

  #add(name: string, version: Version): void {
    const versions = this.#history.get(name);
    if (!versions) this.#history.set(name, [version]);
    else {
      // A list is long; who wants an old one reads it anew.
      delete versions.at(-1)?.list;
      versions.push(version);
    }
  }
}
