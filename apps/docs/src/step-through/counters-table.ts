/** The counters as a table: what each algorithm has counted, and what this step has added. */
import { COUNTER_DOCS, COUNTER_NAMES } from '@pinfold/base';
import { operations } from '@pinfold/bench';
import { h } from './dom.ts';
import { count } from './explain.ts';
import type { Step } from './steps.ts';

/** A column: one algorithm's step, and the one before it. */
export interface CountedStep {
  /** Name of the algorithm. */
  readonly algorithm: string;
  /** The step. */
  readonly step: Step;
  /** The one before; null if it is not known. */
  readonly before: Step | null;
  /** A step at the end, which says which counters are ever used. */
  readonly last: Step | null;
}

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
  #columns: readonly CountedStep[] = [];

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
  show(columns: readonly CountedStep[]): void {
    this.#columns = columns;
    const head = h('tr', {}, h('th', { scope: 'col' }, 'since the map began'));
    for (const { algorithm } of columns) head.append(h('th', { scope: 'col' }, algorithm));
    const rows = COUNTER_NAMES.flatMap((name, slot) => {
      const isUsed = columns.some(({ step, last }) => (last ?? step).counters[slot] > 0);
      if (!isUsed || !(this.#all.checked || SHOWN.has(name))) return [];
      return [this.#row(name, slot)];
    });
    this.#table.replaceChildren(h('thead', {}, head), h('tbody', {}, ...rows));
  }

  #row(name: keyof typeof COUNTER_DOCS, slot: number): HTMLElement {
    const what = h('th', { scope: 'row', title: COUNTER_DOCS[name] }, h('code', {}, name));
    if (this.#all.checked) what.append(h('small', {}, COUNTER_DOCS[name]));
    const row = h('tr', { 'data-counter': name }, what);
    for (const { step, before } of this.#columns) {
      const value = step.counters[slot];
      const gain = before ? value - before.counters[slot] : 0;
      const cell = h('td', {}, value > 0 ? h('b', {}, count(value)) : '0');
      if (gain > 0) {
        cell.append(h('i', {}, `+${count(gain)}`));
        row.classList.add('st-gained');
      }
      row.append(cell);
    }
    return row;
  }
}
