/** The table of a run: one row per step; of a recording, the kernel's answer beside the model's. */
import { orderOfName } from '@pinfold/base';
import { html, nothing, type TemplateResult } from 'lit-html';
import type { LevelOutcome, RunOutcome, Shown, StepOutcome } from './outcome.ts';

/** What a machine showed, as a row has it. */
interface Column {
  readonly heading: string;
  readonly cell: (shown: Shown) => string;
}

const columns: readonly Column[] = [
  { heading: 'result', cell: ({ observation: { errno, ret } }) => errno ?? String(ret) },
  { heading: 'pins +', cell: ({ observation: { pins } }) => figure(pins.acquired) },
  { heading: 'pins −', cell: ({ observation: { pins } }) => figure(pins.released) },
  { heading: 'VmLck kB', cell: ({ observation: { mm } }) => figure(mm.VmLck) },
];

/** A column per size of the IOMMU's leaves that occurs, smallest first. */
function leafColumns({ steps }: RunOutcome): readonly Column[] {
  const shown = steps.flatMap(({ model, recorded }) => [model, recorded]);
  const sizes = new Set(shown.flatMap((each) => Object.keys(each?.table?.leaf ?? {})));
  return [...sizes]
    .sort((a, b) => orderOfName(a, 0, 'leaf') - orderOfName(b, 0, 'leaf'))
    .map((size) => ({ heading: size, cell: ({ table }) => figure(table?.leaf[size] ?? 0) }));
}

/** Zeros say nothing here, and hide what does. */
function figure(n: number): string {
  return n === 0 ? '' : n.toLocaleString('en');
}

/** What the table needs of the page. */
export interface TableOptions {
  /** Index of the step shown in detail. */
  readonly selected: number;
  readonly onSelect: (index: number) => void;
  /** Kernel of the recording; null without one. */
  readonly recorded: string | null;
}

/** One of the machines in the table. */
interface TableMachine {
  readonly name: string;
  readonly of: (step: StepOutcome) => Shown | null;
  readonly other: (step: StepOutcome) => Shown | null;
}

/**
 * Draws the table. A column in which no machine has anything is left out.
 *
 * @param run the run
 * @param options what is selected
 * @returns the table
 */
export function outcomeTable(run: RunOutcome, options: TableOptions): TemplateResult {
  const model = (step: StepOutcome): Shown | null => step.model;
  const recorded = (step: StepOutcome): Shown | null => step.recorded;
  const machines: TableMachine[] = [{ name: 'model', of: model, other: recorded }];
  if (options.recorded !== null) {
    machines.unshift({ name: `Linux ${options.recorded}`, of: recorded, other: model });
  }
  const used = [...columns, ...leafColumns(run)].filter(({ cell }) =>
    run.steps.some((step) => machines.some(({ of }) => cellText(of(step), cell) !== '')),
  );
  return html`<div class="wide" tabindex="0" role="region" aria-label="Steps of the run">
    <table class="outcome">
      <thead>
        ${machines.length > 1 ? machineHeadings(machines, used.length) : nothing}
        <tr>
          <th scope="col">line</th>
          <th scope="col" class="text">step</th>
          ${machines.length > 1 ? html`<th scope="col">compared</th>` : nothing}
          ${machines.map(() => used.map(({ heading }) => html`<th scope="col">${heading}</th>`))}
        </tr>
      </thead>
      <tbody>
        ${run.steps.map((step, index) => rowOf(step, index, options, machines, used))}
      </tbody>
    </table>
  </div>`;
}

function machineHeadings(machines: readonly TableMachine[], span: number): TemplateResult {
  return html`<tr>
    <td colspan="3"></td>
    ${machines.map(({ name }) => html`<th scope="colgroup" colspan=${span}>${name}</th>`)}
  </tr>`;
}

function cellText(shown: Shown | null, cell: Column['cell']): string {
  return shown ? cell(shown) : '';
}

function rowOf(
  step: StepOutcome,
  index: number,
  { selected, onSelect }: TableOptions,
  machines: readonly TableMachine[],
  used: readonly Column[],
): TemplateResult {
  const shown = step.model ?? step.recorded;
  const current = index === selected ? 'true' : 'false';
  return html`<tr
    class=${shown !== null && shown.observation.errno !== null ? 'refused' : ''}
    aria-current=${current}
    @click=${() => onSelect(index)}
  >
    <td>${step.line === 0 ? '' : step.line}</td>
    <th scope="row" class="text">
      <button type="button" aria-pressed=${current}>${step.text}</button>
    </th>
    ${machines.length > 1 ? comparison(step.levels) : nothing}
    ${machines.map((machine) => used.map((column) => cellOf(step, machine, column)))}
  </tr>`;
}

/** A cell of one machine; one in which the other says something else stands out. */
function cellOf(step: StepOutcome, machine: TableMachine, { heading, cell }: Column): unknown {
  const other = machine.other(step);
  const text = cellText(machine.of(step), cell);
  const different = machine.of(step) && other && cell(other) !== text;
  return html`<td class=${different ? 'different' : ''} data-cell=${`${machine.name} ${heading}`}>
    ${text}
  </td>`;
}

function comparison(levels: readonly LevelOutcome[]): TemplateResult {
  const verdicts = levels.map(({ verdict }) => verdict);
  if (verdicts.includes('failed')) return html`<td class="different">differs</td>`;
  return html`<td>${verdicts.includes('passed') ? 'same' : ''}</td>`;
}
