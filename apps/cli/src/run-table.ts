/** The table of `pinfold run`: one row per step, as a kernel developer reads it at a glance. */
import { formatSize, orderOfName } from '@pinfold/base';
import type { DoneStep, IommuTable } from '@pinfold/scenario';
import { standingOut } from './output.ts';
import { formatCount, tableText, tableWidth, type Column } from './table.ts';

/** A step, and the IOMMU page table after it. */
export interface RunRow extends DoneStep {
  /** Undefined without an IOMMU. */
  readonly table: IommuTable | undefined;
}

/** Width at which a step's line is wrapped, where there is room. */
const STEP_WIDTH = 42;
/** Narrower than this, steps are hard to read: other columns go into a table of their own. */
const MIN_STEP_WIDTH = 26;

const CALLS_GROUP = 'calls';
const IOMMU_GROUP = 'IOMMU';
/** Emulated devices: references that they hold, and unmaps that they were told of. */
const EXTERNAL_GROUP = 'emulated';

/** The kernel functions whose calls are shown, with their headings. */
const CALLS: readonly (readonly [heading: string, counted: (name: string) => boolean])[] = [
  ['vfio_\npin_\npages', (name) => name === 'vfio_pin_pages'],
  ['vfio_\nunpin_\npages', (name) => name === 'vfio_unpin_pages'],
  ['vfio_\ndma_rw', (name) => name === 'vfio_dma_rw'],
  ['pin_\npages', (name) => name === 'vfio_pin_pages_remote'],
  ['vaddr_\nget_\npfns', (name) => name === 'vaddr_get_pfns'],
  ['iommu_\nmap', (name) => name === 'iommu_map'],
  ['unmap_\nfast', (name) => name === 'iommu_unmap_fast'],
  ['iova_\nto_\nphys', (name) => name === 'iommu_iova_to_phys'],
  ['unpin_\nuser_*', (name) => name.startsWith('unpin_user_page')],
];

const lineColumn: Column<RunRow> = { heading: 'line', cell: ({ step }) => String(step.line) };
const resultColumn: Column<RunRow> = { heading: 'result', words: true, cell: resultCell };
/** The key of a row where the step is in the table above. */
const opColumn: Column<RunRow> = { heading: 'step', words: true, cell: ({ step }) => step.op };

/** The other columns, in parts that stay together. */
const partsOf = (rows: readonly RunRow[]): readonly (readonly Column<RunRow>[])[] => [
  [
    { group: 'pins', heading: '+', cell: ({ observation }) => figure(observation.pins.acquired) },
    { group: 'pins', heading: '-', cell: ({ observation }) => figure(observation.pins.released) },
    { heading: 'VmLck\nkB', cell: ({ observation }) => formatCount(observation.mm.VmLck) },
    { heading: 'size\nout', cell: sizeOutCell },
  ],
  [
    { group: EXTERNAL_GROUP, heading: 'held', words: true, cell: heldCell },
    {
      group: EXTERNAL_GROUP,
      heading: 'told',
      cell: ({ observation }) => figure(observation.notify_total ?? 0),
    },
  ],
  [
    ...leafSizes(rows).map(leafColumn),
    {
      group: IOMMU_GROUP,
      heading: 'tables',
      cell: ({ table }) => figure(table?.pt_pages ?? 0),
    },
  ],
  CALLS.map(([heading, counted]) => callsColumn(heading, counted)),
];

/**
 * The table of a run. Where the terminal is too narrow for it, the last columns are a table of their
 * own below it.
 *
 * @param rows its steps
 * @param width columns of the terminal
 * @returns the tables, with an empty line between them; columns in which nothing is are left out, and
 *   refused steps stand out
 */
export function runTable(rows: readonly RunRow[], width = Infinity): string {
  const used = partsOf(rows)
    .map((part) => part.filter((column) => rows.some((row) => column.cell(row))))
    .filter((part) => part.length > 0);
  for (let first = used.length; first > 0; first--) {
    const table = stepTable(rows, used.slice(0, first).flat(), width);
    if (table === null) continue;
    return [table, ...otherTables(rows, used.slice(first), width)].join('\n');
  }
  const table = stepTable(rows, [], width) ?? stepTable(rows, [], Infinity) ?? '';
  return [table, ...otherTables(rows, used, width)].join('\n');
}

/** The table with the steps, as wide as there is room for them; null if there is too little. */
function stepTable(
  rows: readonly RunRow[],
  columns: readonly Column<RunRow>[],
  width: number,
): string | null {
  for (let step = STEP_WIDTH; step >= MIN_STEP_WIDTH; step--) {
    const stepColumn = { heading: 'step', words: true, width: step, cell: stepCell };
    const all = [lineColumn, stepColumn, resultColumn, ...columns];
    if (tableWidth(all, rows) <= width) return marked(tableText(all, rows), rows);
  }
  return null;
}

/** What the first table has no room for, in as few tables as possible. */
function otherTables(
  rows: readonly RunRow[],
  left: readonly (readonly Column<RunRow>[])[],
  width: number,
): string[] {
  const tables: string[] = [];
  let some: readonly Column<RunRow>[] = [];
  const layOut = <Value>(
    columns: readonly Column<RunRow>[],
    of: (columns: readonly Column<RunRow>[], rows: readonly RunRow[]) => Value,
  ): Value => {
    const shown = rows.filter((row) => columns.some((column) => column.cell(row)));
    return of([lineColumn, opColumn, ...columns], shown);
  };
  for (const part of left) {
    const together = [...some, ...part];
    if (some.length > 0 && layOut(together, tableWidth) > width) {
      tables.push(layOut(some, tableText));
      some = part;
    } else some = together;
  }
  return some.length > 0 ? [...tables, layOut(some, tableText)] : tables;
}

/** Makes the lines of refused steps stand out: from that of its number to the next one's. */
function marked(text: string, rows: readonly RunRow[]): string {
  const numberWidth = widestNumber(rows);
  let row = -1;
  const lines = text.split('\n').map((line) => {
    const number = line.slice(0, numberWidth).trim();
    if (/^\d+$/.test(number)) row++;
    return row >= 0 && isRefused(rows[row]) && line !== '' ? standingOut(line) : line;
  });
  return lines.join('\n');
}

/** Digits of the longest line number, at least those of the heading. */
function widestNumber(rows: readonly RunRow[]): number {
  return rows.reduce((max, { step }) => Math.max(max, String(step.line).length), 'line'.length);
}

function isRefused({ observation: { errno } }: RunRow): boolean {
  return errno !== null;
}

/** What a step says, whose check refused it, and what the kernel printed. */
function stepCell({ step, observation }: RunRow): string {
  const { failure, klog = [] } = observation;
  const refused = failure === undefined ? [] : [`refused by ${failure.at}`];
  return [step.text, ...refused, ...klog].join('\n');
}

/** References that open emulated devices hold, those without any left out. */
function heldCell({ observation: { held = {} } }: RunRow): string {
  const holding = Object.entries(held).filter(([, refs]) => refs > 0);
  return holding.map(([dev, refs]) => `${dev} ${formatCount(refs)}`).join(', ');
}

function resultCell({ observation: { ret, errno } }: RunRow): string {
  return errno ?? String(ret);
}

function sizeOutCell({ observation: { size_out } }: RunRow): string {
  const bytes = Number(size_out ?? NaN);
  return Number.isSafeInteger(bytes) ? formatSize(bytes) : (size_out ?? '');
}

/** Zeros say nothing here, and hide what does. */
function figure(n: number): string {
  return n === 0 ? '' : formatCount(n);
}

/** Sizes of the leaves that occur, smallest first. */
function leafSizes(rows: readonly RunRow[]): readonly string[] {
  const sizes = rows.flatMap(({ table }) => Object.keys(table?.leaf ?? {}));
  return [...new Set(sizes)].sort((a, b) => orderOfName(a, 0, 'leaf') - orderOfName(b, 0, 'leaf'));
}

function leafColumn(size: string): Column<RunRow> {
  return {
    group: IOMMU_GROUP,
    heading: size,
    cell: ({ table }) => figure(table?.leaf[size] ?? 0),
  };
}

function callsColumn(heading: string, counted: (name: string) => boolean): Column<RunRow> {
  return {
    group: CALLS_GROUP,
    heading,
    cell: ({ observation: { calls = {} } }) =>
      figure(
        Object.entries(calls).reduce((sum, [name, count]) => sum + (counted(name) ? count : 0), 0),
      ),
  };
}
