/**
 * The end of a comparison's report: gain and loss of every algorithm against the base, and the
 * answer to what reviewers ask first, whether small folios lose.
 */
import { loses, type CompareRow, type SmallFolioChange } from './changes.ts';
import type { CompareReport } from './compare.ts';
import { layouts } from './layouts.ts';
import { ops } from './measure.ts';
import { isSmall, memoryName } from './memories.ts';
import { operationWords } from './operations.ts';
import type { PatchChange } from './patches.ts';
import type { Style } from './style.ts';
import { formatCount, type Column } from './table.ts';

/** One algorithm on one memory. */
interface SummaryLine {
  readonly algorithm: string;
  readonly rows: readonly CompareRow[];
}

/**
 * Gain and loss against the base, and what small folios pay.
 *
 * @param report the comparison
 * @param style how to write it
 * @param times whether to show the change of model time
 * @returns the parts of the section; none if only the base was run
 */
export function summary(report: CompareReport, style: Style, times: boolean): string[] {
  const lines = report.rows
    .filter(({ op, change }) => op === ops[0] && change)
    .map((row): SummaryLine => {
      const { algorithm } = row;
      const both = report.rows.filter(
        (other) => other.algorithm === algorithm && memoryName(other) === memoryName(row),
      );
      return { algorithm, rows: both };
    });
  if (lines.length === 0) return [];
  const verdict = report.smallFolios.length > 0 ? [verdictColumn] : [];
  return [
    style.heading(`Change against ${report.base}`),
    style.tables(
      summaryKeys,
      [[...changeColumns('operations'), ...verdict], times ? changeColumns('modelTime') : []],
      lines,
    ),
    ...[
      ...smallFolioParagraphs(report),
      ...patchParagraphs(report),
      ...uncountedParagraphs(report),
    ].map((text) => style.paragraph(text)),
  ];
}

const summaryKeys: readonly Column<SummaryLine>[] = [
  { heading: 'memory', words: true, cell: ({ rows }) => memoryName(rows[0]) },
  { heading: 'algorithm', words: true, cell: ({ algorithm }) => algorithm },
];

const verdictColumn: Column<SummaryLine> = {
  ...{ heading: 'small\nfolios', short: 'small folios', words: true },
  cell: smallFolioVerdict,
};

const CHANGES = {
  operations: { text: 'operations', short: 'ops' },
  modelTime: { text: 'model time', short: 'model' },
} as const;

function changeColumns(kind: keyof typeof CHANGES): Column<SummaryLine>[] {
  return ops.map((op) => ({
    ...{ group: CHANGES[kind].text, heading: op, short: `${CHANGES[kind].short} ${op}` },
    cell: ({ rows }) => formatChange(rows.find((row) => row.op === op)?.change?.[kind] ?? null),
  }));
}

/** Whether small folios lose, by exact counts: which call makes more operations than before. */
function smallFolioVerdict({ rows }: SummaryLine): string {
  if (!isSmall({ layout: layouts[rows[0].layoutTag] })) return '';
  const losing = rows.filter(({ change }) => loses(change));
  return losing.length === 0 ? 'no loss' : `lose: ${losing.map(({ op }) => op).join(', ')}`;
}

/** A relative change such as `-25.0%`. */
function formatChange(change: number | null): string {
  if (change === null) return '';
  const percent = (100 * change).toFixed(1);
  return `${Number(percent) > 0 ? '+' : ''}${Number(percent) === 0 ? '0.0' : percent}%`;
}

/** In words: where small folios pay more than with the base, and for what. */
function smallFolioParagraphs({ smallFolios, base }: CompareReport): string[] {
  if (smallFolios.length === 0) return [];
  const losing = smallFolios.filter((one) => one.loses);
  if (losing.length === 0) {
    const tags = [...new Set(smallFolios.map(({ layoutTag }) => layoutTag))].join(' and ');
    return [`Small folios do not lose: in ${tags}, none makes more operations than ${base}.`];
  }
  const alike = new Map<string, SmallFolioChange[]>();
  for (const one of losing) {
    const { layoutTag, op, change, more, fewer } = one;
    const key = [layoutTag, op, formatChange(change.operations), perPage([...more, ...fewer])];
    alike.set(key.join(), [...(alike.get(key.join()) ?? []), one]);
  }
  return [...alike.values()].map((ones) => lossText(ones, base));
}

/** How much algorithms with the same loss lose, and on which operations. */
function lossText(ones: readonly SmallFolioChange[], base: string): string {
  const [{ layoutTag, op, change, more, fewer }] = ones;
  const names = ones.map(({ algorithm }) => algorithm).join(', ');
  const growth = formatChange(change.operations).replace('+', '');
  const loss = `${names} ${ones.length === 1 ? 'makes' : 'make'} ${growth} more operations than ${base}`;
  const parts = perPage([...more, ...fewer]);
  return `Small folios lose in ${layoutTag} on ${op}: ${loss}.${parts && ` Per page: ${parts}.`}`;
}

/** What each patch changes, against what it is a difference against. */
function patchParagraphs({ algorithms, patches }: CompareReport): string[] {
  return algorithms.flatMap(({ name, base }) => {
    const ofPatch = patches.filter(({ algorithm }) => algorithm === name);
    if (ofPatch.length === 0) return [];
    const against = ofPatch[0].base === base ? base : `${ofPatch[0].base} (base ${base})`;
    const texts = ofPatch.map((patch) => ({ memory: memoryName(patch), text: patchText(patch) }));
    const differing = texts.filter(({ text }) => text !== '');
    if (differing.length === 0) return [`${name} makes the same operations as ${against}.`];
    const memories = [...new Set(differing.map(({ memory }) => memory))].map((memory) => {
      const ofMemory = differing.filter((one) => one.memory === memory);
      return `${memory}: ${ofMemory.map(({ text }) => text).join('; ')}.`;
    });
    return [`${name} changes against ${against}, and nothing else: ${memories.join(' ')}`];
  });
}

/** The operations of a call that a patch changes; empty if none. */
function patchText({ op, change, operations: changed }: PatchChange): string {
  if (changed.length === 0) return '';
  const words = changed.map(
    ({ name, before, after }) =>
      `${operationWords(name)} ${formatCount(before)} to ${formatCount(after)}`,
  );
  const sum = formatChange(change.operations);
  return `${op} ${words.join(', ')}${sum && ` (in all ${sum})`}`;
}

/** What own algorithms do besides: a saving that is made up for there is none. */
function uncountedParagraphs({ uncounted }: CompareReport): string[] {
  const names = [...new Set(uncounted.map(({ algorithm }) => algorithm))];
  return names.map((name) => {
    const done = uncounted
      .filter(({ algorithm }) => algorithm === name)
      .map(({ memory, pageReads, conversions }) => {
        const [reads, frames] = [pageReads, conversions].map((n) => n.toFixed(2));
        return `${memory}: ${reads} batch.page(), ${frames} pageToPfn() and pfnToPage()`;
      });
    return (
      `Not counted, and so in no change above, is what ${name} does by itself. Per page pinned: ` +
      `${done.join('; ')}. Compares, loops and lists of its own come on top.`
    );
  });
}

/** Operations with their number per page; what is below a hundredth of one is not worth a word. */
function perPage(changes: SmallFolioChange['more']): string {
  const words = changes
    .filter((change) => Math.abs(change.perPage) >= 0.005)
    .map(({ name, perPage: n }) => `${operationWords(name)} ${n > 0 ? '+' : ''}${n.toFixed(2)}`);
  return words.join(', ');
}
