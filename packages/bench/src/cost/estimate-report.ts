/** The report of an estimate: times with their intervals, limits, and what would help. */
import { formatSize } from '@pinfold/base';
import type { Note, Style } from '../style.ts';
import type { Column } from '../table.ts';
import type { Advice, EstimatedHost, VmEstimate } from './estimate.ts';
import { costParts } from './classes.ts';
import type { Profile } from './calibration.ts';
import { counted } from './words.ts';
import type { PredictedSeconds } from './fit.ts';
import { percentText, secondsText } from './calibration-report.ts';

/** What was estimated of one guest. */
export interface EstimatedGuest {
  /** One estimate per kernel. */
  readonly estimates: readonly VmEstimate[];
  /** What would change the first of them. */
  readonly advice: readonly Advice[];
}

/** What was estimated. */
export interface EstimateReport {
  /** The costs. */
  readonly profile: Profile;
  /** The host. */
  readonly host: EstimatedHost;
  /** Its guests. */
  readonly guests: readonly EstimatedGuest[];
}

/**
 * Seconds with their interval.
 *
 * @param time the prediction
 * @returns for example `12.3 s (11.1 to 13.5)`
 */
export function intervalText({ seconds, low, high }: PredictedSeconds): string {
  if (seconds === 0) return '0 s';
  return `${secondsText(seconds)} (${secondsText(low)} to ${secondsText(high)})`;
}

const TIMES: readonly Column<VmEstimate>[] = [
  { heading: 'populate', words: true, cell: ({ populate }) => intervalText(populate) },
  { heading: 'map', words: true, cell: ({ map }) => intervalText(map) },
  { heading: 'unmap', words: true, cell: ({ unmap }) => intervalText(unmap) },
  { heading: 'populate + map', words: true, cell: ({ start }) => intervalText(start) },
];

const KERNEL: readonly Column<VmEstimate>[] = [
  { heading: 'kernel', words: true, cell: ({ kernel }) => kernel },
];

/** A time that its parts are shown of. */
interface PartsLine {
  readonly name: string;
  readonly parts: VmEstimate['map']['parts'];
  readonly seconds: number;
}

const PARTS: readonly Column<PartsLine>[] = costParts.map((part) => ({
  heading: part,
  cell: ({ parts }) => (parts[part] === 0 ? '' : secondsText(parts[part])),
}));

/**
 * An estimate for people.
 *
 * @param report the estimate
 * @param style how to write it
 * @returns lines, ending in a line break
 */
export function estimateText({ profile, host, guests }: EstimateReport, style: Style): string {
  const parts = guests.map((guest) => guestText(guest, host, style));
  return [...parts, style.paragraph(costsText(profile))].join('\n');
}

/**
 * What stands behind predicted times.
 *
 * @param profile the costs
 * @returns sentences
 */
export function costsText(profile: Profile): string {
  return profile.rows.length === 0
    ? `Predicted kernel time, profile ${profile.name}: no measurement stands behind it, and every ` +
        'interval is a factor of 2.5 up and down. Calibrate with measurements of your own: ' +
        'pinfold calibrate --help.'
    : `Predicted kernel time, profile ${profile.name} (${profile.host}), with 90 % intervals. ` +
        'On another host every cost may differ by a factor of 2.';
}

function guestText(
  { estimates, advice }: EstimatedGuest,
  host: EstimatedHost,
  style: Style,
): string {
  const [first] = estimates;
  const { vm } = first;
  const how = vm.populated
    ? vm.preallocThreads > 0
      ? `populated by ${counted(vm.preallocThreads, 'thread')}`
      : 'populated already'
    : 'not populated';
  const heading = `${vm.name}: ${formatSize(vm.bytes)} of ${vm.backing}, ${how}, ${counted(vm.containers, 'container')}`;
  const lines = estimates.flatMap((one): PartsLine[] => [
    { name: `${one.kernel} map`, ...one.map },
    { name: `${one.kernel} unmap`, ...one.unmap },
  ]);
  const name: Column<PartsLine> = { heading: 'of this', words: true, cell: (line) => line.name };
  return [
    style.heading(heading),
    style.tables(
      KERNEL,
      TIMES.map((column) => [column]),
      estimates,
    ),
    style.tables([name], [PARTS], lines),
    style.notes(limitNotes(first, host)),
    ...(advice.length > 0 ? [style.heading('What would change the start')] : []),
    advice.map((one) => style.paragraph(`- ${adviceText(one, first)}`)).join(''),
  ].join('\n');
}

/**
 * What a change would do.
 *
 * @param advice the change
 * @param now the estimate without it
 * @returns for example `populate first, with 16 threads: would cost 14 s more (46 %), to 44.5 s (…)`
 */
export function adviceText({ change, saves, estimate }: Advice, now: VmEstimate): string {
  const amount = secondsText(Math.abs(saves));
  const share = percentText(Math.abs(saves) / now.start.seconds);
  const to = `to ${intervalText(estimate.start)}`;
  if (Math.abs(saves) < 0.01 * now.start.seconds) return `${change}: no difference, ${to}`;
  return `${change}: ${saves > 0 ? 'saves' : 'would cost'} ${amount}${saves > 0 ? '' : ' more'} (${share}), ${to}`;
}

const ONE_RUN =
  'assumed to be one physically contiguous run; --layout says otherwise (docs/predicted-time.md)';

/**
 * Mappings, locked memory and tables beside their limits.
 *
 * @param estimate what is needed
 * @param host what is allowed
 * @returns a note for each
 */
export function limitNotes(
  { entries, locked, tableBytes, vm }: VmEstimate,
  host: EstimatedHost,
): Note[] {
  const process =
    vm.containers > 1
      ? `${sizeText(locked.container)} per container, ${sizeText(locked.process)} of the process`
      : sizeText(locked.process);
  return [
    {
      label: 'mappings',
      text:
        `${entries.needed} of ${entries.limit} per container` +
        (entries.needed > entries.limit ? ': more than dma_entry_limit, ENOSPC' : ''),
    },
    { label: 'locked memory', text: `${process}; ${limitText(locked, host)}` },
    { label: 'IOMMU tables', text: sizeText(tableBytes) },
    ...(vm.backing === '4k' && vm.runs === null ? [{ label: 'memory', text: ONE_RUN }] : []),
  ];
}

function limitText({ process, limit, missing }: VmEstimate['locked'], host: EstimatedHost): string {
  if (host.capIpcLock) return 'CAP_IPC_LOCK: no limit is tested';
  const kib = Math.ceil(process / 1024);
  const settings = `ulimit -l ${kib}, LimitMEMLOCK=${process}, <hard_limit unit='KiB'>${kib}</hard_limit>`;
  if (missing > 0)
    return `the limit is ${sizeText(limit)}, ${sizeText(missing)} too low (ENOMEM). Set at least: ${settings}`;
  return Number.isFinite(limit)
    ? `the limit of ${sizeText(limit)} is enough`
    : `needs at least: ${settings}`;
}

/** A size with three digits: 18.4M rather than pages. */
function sizeText(bytes: number): string {
  const units = ['', 'K', 'M', 'G', 'T'];
  let unit = 0;
  let value = bytes;
  for (; value >= 1024 && unit < 4; unit++) value /= 1024;
  return `${Number(value.toPrecision(4))}${units[unit]}`;
}
