/** What came of a replay, for a terminal. */
import type { Log, Mapping, Place, Replay, ReplayFinding, TimelinePoint } from '@pinfold/replay';
import { standingOut } from './output.ts';
import { formatCount, tableText, wrapped, type Column } from './table.ts';

/** Findings of one kind that are shown one by one. */
const SHOWN_PER_KIND = 3;
/** Rows of the DMA map and of the timeline. */
const SHOWN_ROWS = 24;
const KIB = 1024n;
const BAR_WIDTH = 20;
/** Places that a list of places names. */
const SHOWN_PLACES = 10;

/**
 * The report.
 *
 * @param log what was read
 * @param replay what came of it
 * @returns paragraphs and tables
 */
export function replayText(log: Log, replay: Replay): string {
  return [
    readText(log),
    hostText(log, replay),
    findingsText(replay),
    differencesText(replay),
    addressesText(replay),
    mapText(replay.mappings),
    timelineText(replay.timeline),
    missingText(log),
  ]
    .filter((part) => part !== '')
    .join('\n');
}

function placeText({ file, line }: Place): string {
  return `${file}:${line}`;
}

/** What was read, and what was not. */
function readText(log: Log): string {
  const { lines, formats, foreign, malformed } = log;
  const kinds = [...formats].filter(([, count]) => count > 0);
  const read = kinds.map(([name, count]) => `${name} ${formatCount(count)}`).join(', ');
  const others = foreign === 0 ? '' : `; ${formatCount(foreign)} of no format that is known`;
  const text = wrapped(`${formatCount(lines)} lines: ${read || 'none read'}${others}.`, '  ', '');
  if (malformed.length === 0) return text;
  const shown = malformed.slice(0, SHOWN_PLACES);
  const broken = shown.map(({ at, what }) => wrapped(`${placeText(at)}: ${what}`, '    ', '  '));
  const more = malformed.length - shown.length;
  return `${text}${formatCount(malformed.length)} broken:\n${broken.join('')}${more > 0 ? `  and ${formatCount(more)} more\n` : ''}`;
}

/** The machine and what is assumed of it. */
function hostText(log: Log, replay: Replay): string {
  const { kernel, kernelSaid, machine, assumed, calls, others, stopped } = replay;
  const said = kernelSaid === undefined ? '' : ` (${kernelSaid})`;
  const lines = [
    `Linux ${kernel}${said}, ${machine === '' ? "pinfold's default machine" : `\`${machine}\``}.`,
    ...log.said.map(({ at, said: words }) => `${placeText(at)}: ${words}.`),
    ...assumed.map((words) => `Assumed: ${words}.`),
    ...(others > 0
      ? [
          `${formatCount(others)} calls of other containers are left out; ${formatCount(calls)} were run.`,
        ]
      : []),
    ...(stopped === undefined ? [] : [`Not run to its end: ${stopped}`]),
  ];
  return lines.map((line) => wrapped(line, '  ', '')).join('');
}

function findingsText({ findings, answers, calls }: Replay): string {
  const all = [...findings, ...answers];
  if (all.length === 0) {
    return calls === 0 ? '' : 'Every call did what it was asked for.\n';
  }
  const kinds = new Map<string, ReplayFinding[]>();
  for (const one of all) {
    const others = kinds.get(one.kind);
    if (others) others.push(one);
    else kinds.set(one.kind, [one]);
  }
  return [...kinds.values()]
    .map((of) => {
      const shown = of.slice(0, SHOWN_PER_KIND).map(findingText).join('\n');
      const more = of.length - SHOWN_PER_KIND;
      return more > 0 ? `${shown}    and ${formatCount(more)} more like these\n` : shown;
    })
    .join('\n');
}

function findingText(finding: ReplayFinding): string {
  const { at, text, errno, from, why, action, releases, isMessage } = finding;
  const outcome =
    errno === null ? 'succeeds' : `${errno}${from === undefined ? '' : ` from ${from}`}`;
  const refused = errno === null ? outcome : standingOut(outcome);
  const others = Object.entries(releases).filter(([, other]) => other !== errno);
  const differ =
    others.length === 0
      ? []
      : [
          `Other releases: ${others.map(([name, other]) => `${name} ${other ?? 'passes'}`).join(', ')}.`,
        ];
  const heading = wrapped(text, '    ', `${placeText(at)}  `);
  const body = [...why, ...differ].map((part) => wrapped(part, '    '));
  const todo = action.map((part) => wrapped(part, '      ', '    > '));
  // What a message tells without a call has no outcome.
  const result = errno === null && isMessage ? '' : `  ${refused}\n`;
  return `${heading}${result}${body.join('')}${todo.join('')}`;
}

function differencesText({ differences }: Replay): string {
  if (differences.length === 0) return '';
  const shown = differences.slice(0, SHOWN_PLACES);
  const lines = shown.map(({ at, recorded, model }) =>
    wrapped(
      `${placeText(at)}: ${recorded ?? 'success'} in the log, ${model ?? 'success'} in the model`,
      '    ',
      '  ',
    ),
  );
  const more = differences.length - shown.length;
  return `The model does not give what the log says (${formatCount(differences.length)}):\n${lines.join('')}${more > 0 ? `  and ${formatCount(more)} more\n` : ''}`;
}

/** The addresses that a device may use, where nothing was mapped. */
function addressesText({ usable, calls, answers }: Replay): string {
  if (usable.length === 0 || calls > 0 || answers.length > 0) return '';
  const rows = usable.map(([first, last]) => `  ${first} to ${last}\n`);
  return `Addresses that the device may use:\n${rows.join('')}Keep guest memory and BARs within them.\n`;
}

const mapColumns: readonly Column<Mapping>[] = [
  { heading: 'iova', words: true, cell: ({ iova }) => hexText(iova) },
  { heading: 'to', words: true, cell: ({ iova, size }) => hexText(iova + size - 1n) },
  { heading: 'vaddr', words: true, cell: ({ va }) => hexText(va) },
  { heading: 'KiB', cell: ({ size }) => formatCount(Number(size / KIB)) },
  { heading: 'line', cell: ({ at }) => String(at.line) },
];

function hexText(value: bigint): string {
  return `0x${value.toString(16)}`;
}

function mapText(mappings: readonly Mapping[]): string {
  if (mappings.length === 0) return '';
  const bytes = mappings.reduce((sum, { size }) => sum + size, 0n);
  const heading = `DMA map afterwards: ${formatCount(mappings.length)} ${mappings.length === 1 ? 'mapping' : 'mappings'}, ${formatCount(Number(bytes / KIB))} KiB`;
  const more = mappings.length - SHOWN_ROWS;
  const rest = more > 0 ? `and ${formatCount(more)} more\n` : '';
  return `${heading}\n${tableText(mapColumns, mappings.slice(0, SHOWN_ROWS))}${rest}`;
}

/** A row of the timeline, with the bar that is drawn for it. */
interface TimelineRow extends TimelinePoint {
  readonly share: number;
}

function timelineText(points: readonly TimelinePoint[]): string {
  if (points.length < 2) return '';
  const most = points.reduce((max, { lockedKib }) => Math.max(max, lockedKib), 1);
  const step = Math.max(1, Math.ceil(points.length / SHOWN_ROWS));
  const rows = points
    .filter((point, i) => i % step === 0 || i === points.length - 1 || point.errno !== null)
    .slice(0, 2 * SHOWN_ROWS)
    .map((point): TimelineRow => ({ ...point, share: point.lockedKib / most }));
  const columns: readonly Column<TimelineRow>[] = [
    { heading: 'line', cell: ({ at }) => String(at.line) },
    {
      heading: 'call',
      words: true,
      cell: ({ op, errno }) => (errno === null ? op : `${op} ${errno}`),
    },
    { heading: 'locked KiB', cell: ({ lockedKib }) => formatCount(lockedKib) },
    { heading: '', words: true, cell: ({ share }) => '#'.repeat(Math.round(share * BAR_WIDTH)) },
    { heading: 'entries', cell: ({ entries }) => formatCount(entries) },
    ...(points.some(({ seconds }) => seconds !== undefined)
      ? [{ heading: 'recorded ms', cell: ({ seconds }: TimelineRow) => milliseconds(seconds) }]
      : []),
  ];
  const sampled =
    rows.length < points.length ? `, ${rows.length} of ${formatCount(points.length)} calls` : '';
  return `Locked memory and entries${sampled}\n${tableText(columns, rows)}`;
}

function milliseconds(seconds: number | undefined): string {
  return seconds === undefined ? '' : (seconds * 1000).toFixed(3);
}

function missingText({ missing }: Log): string {
  if (missing.size === 0) return '';
  const what = [...missing].map(([name, count]) => `${formatCount(count)} of ${name}`).join(', ');
  return wrapped(
    `Calls without their arguments: ${what}. strace and perf print bare pointers for them; \`pinfold replay --recipe bpftrace\` prints a script that writes them out, and so does --recipe ftrace.`,
    '  ',
    '',
  );
}
