/** The table of `pinfold run`: one row per step, as a kernel developer reads it at a glance. */
import { formatSize } from '@pinfold/base';
import type { DoneStep, IommuTable } from '@pinfold/scenario';
import { formatCount, tableText, type Column } from './table.ts';

/** A step, and the IOMMU page table after it. */
export interface RunRow extends DoneStep {
  /** Undefined without an IOMMU. */
  readonly table: IommuTable | undefined;
}

/** Width at which a step's line is wrapped. */
const STEP_WIDTH = 42;

const CALLS_GROUP = 'calls';
const IOMMU_GROUP = 'IOMMU';
/** Emulated devices: references that they hold, and unmaps that they were told of. */
const EXTERNAL_GROUP = 'emulated';
/** Groups whose columns are left out where nothing is in them. */
const OPTIONAL_GROUPS: readonly (string | undefined)[] = [CALLS_GROUP, EXTERNAL_GROUP];

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

const columns: readonly Column<RunRow>[] = [
  { heading: 'line', cell: ({ step }) => String(step.line) },
  { heading: 'step', words: true, width: STEP_WIDTH, cell: stepCell },
  { heading: 'result', words: true, cell: resultCell },
  { group: 'pins', heading: '+', cell: ({ observation }) => figure(observation.pins.acquired) },
  { group: 'pins', heading: '-', cell: ({ observation }) => figure(observation.pins.released) },
  { heading: 'VmLck\nkB', cell: ({ observation }) => formatCount(observation.mm.VmLck) },
  { heading: 'size\nout', cell: sizeOutCell },
  { group: EXTERNAL_GROUP, heading: 'held', words: true, cell: heldCell },
  {
    group: EXTERNAL_GROUP,
    heading: 'told',
    cell: ({ observation }) => figure(observation.notify_total ?? 0),
  },
  leafColumn('4K'),
  leafColumn('2M'),
  leafColumn('1G'),
  {
    group: IOMMU_GROUP,
    heading: 'tables',
    cell: ({ table }) => (table ? formatCount(table.pt_pages) : ''),
  },
  ...CALLS.map(([heading, counted]) => callsColumn(heading, counted)),
];

/**
 * The table of a run.
 *
 * @param rows its steps
 * @returns the table; columns of functions that nothing called, and of emulated devices that do
 *   nothing, are left out
 */
export function runTable(rows: readonly RunRow[]): string {
  const used = columns.filter(
    (column) => !OPTIONAL_GROUPS.includes(column.group) || rows.some((row) => column.cell(row)),
  );
  return tableText(used, rows);
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

function leafColumn(size: '4K' | '2M' | '1G'): Column<RunRow> {
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
