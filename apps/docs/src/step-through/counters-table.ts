/** The counters as a table: what each algorithm has counted, and what this step has added. */
import { COUNTER_DOCS, COUNTER_NAMES, type CounterName } from '@pinfold/base';
import { operations } from '@pinfold/bench';
import { count } from './call-text.ts';
import { h } from './dom.ts';
import type { ShownStep } from './shown-step.ts';

/** Counters that are shown unless all are asked for: those that reports show. */
const SHOWN = new Set<string>([
  ...operations.map,
  ...operations.unmap,
  ...['iommuLeaves4k', 'iommuLeaves2m', 'iommuLeaves1g', 'folioGrabs', 'pinPagesRemoteCalls'],
]);

/** The table of counters. */
export class CountersTable {
  /** The element. */
  readonly element: HTMLElement;
  readonly #table = h('table', { className: 'st-counters' });
  readonly #all = h('input', { type: 'checkbox' });
  #columns: readonly ShownStep[] = [];
  /** What the rows are for; while it stays the same, only numbers change. */
  #layout = '';
  #rows: readonly CounterRow[] = [];

  constructor() {
    this.#all.addEventListener('change', () => this.show(this.#columns));
    const toggle = h('label', { className: 'st-toggle' }, this.#all, ' all counters');
    this.element = h(
      'section',
      { className: 'st-panel' },
      h('h2', {}, 'Counters'),
      toggle,
      this.#table,
    );
    this.element.ariaLabel = 'Counters';
  }

  /**
   * Shows what was counted up to a step.
   *
   * @param columns one per algorithm
   */
  show(columns: readonly ShownStep[]): void {
    this.#columns = columns;
    const isUsed = (slot: number): boolean =>
      columns.some(
        ({ step, last }) => Math.max(step.counters[slot], last?.counters[slot] ?? 0) > 0,
      );
    const names = COUNTER_NAMES.filter(
      (name, slot) => (this.#all.checked || SHOWN.has(name)) && isUsed(slot),
    );
    this.#lay(names, columns);
    for (const row of this.#rows) row.show(columns);
  }

  /** Makes the rows anew if others are wanted. */
  #lay(names: readonly CounterName[], columns: readonly ShownStep[]): void {
    const algorithms = columns.map(({ overview }) => overview.algorithm);
    const layout = [this.#all.checked, ...algorithms, ...names].join();
    if (layout === this.#layout) return;
    this.#layout = layout;
    const head = h('tr', {}, h('th', { scope: 'col' }, 'since the map began'));
    for (const name of algorithms) head.append(h('th', { scope: 'col' }, name));
    this.#rows = names.map((name) => new CounterRow(name, columns.length, this.#all.checked));
    const body = h('tbody', {}, ...this.#rows.map(({ element }) => element));
    this.#table.replaceChildren(h('thead', {}, head), body);
  }
}

/** The row of a counter. */
class CounterRow {
  readonly element: HTMLElement;
  readonly #slot: number;
  readonly #cells: readonly { value: HTMLElement; gain: HTMLElement }[];

  constructor(name: CounterName, columns: number, isExplained: boolean) {
    this.#slot = COUNTER_NAMES.indexOf(name);
    const what = h('th', { scope: 'row', title: COUNTER_DOCS[name] }, h('code', {}, name));
    if (isExplained) what.append(h('small', {}, COUNTER_DOCS[name]));
    this.#cells = Array.from({ length: columns }, () => ({ value: h('b', {}), gain: h('i', {}) }));
    const cells = this.#cells.map(({ value, gain }) => h('td', {}, value, gain));
    this.element = h('tr', { 'data-counter': name }, what, ...cells);
  }

  show(columns: readonly ShownStep[]): void {
    let hasGained = false;
    columns.forEach(({ step, before }, i) => {
      const { value, gain } = this.#cells[i];
      const counted = step.counters[this.#slot];
      const gained = before ? counted - before.counters[this.#slot] : 0;
      hasGained ||= gained > 0;
      value.textContent = count(counted);
      value.className = counted > 0 ? '' : 'st-zero';
      gain.textContent = gained > 0 ? `+${count(gained)}` : '';
    });
    this.element.classList.toggle('st-gained', hasGained);
  }
}
