/** The report of `pinfold review`: Markdown for a mail, and JSON. */
import { formatSize } from '@pinfold/base';
import { compareText, markdownStyle, type CompareReport } from '@pinfold/bench';
import { GRADES, INVARIANTS, type CheckFinding, type CheckReport } from '@pinfold/check';
import type { PinAlgorithm } from '@pinfold/vfio-type1';
import { checkJson, quoted } from '../check/check-text.ts';
import { formatCount } from '../table.ts';
import { TRACED_SCENARIO } from './call-difference.ts';
import type { MeasuredPatch } from './measure-patch.ts';

/** Format of the JSON. */
const FORMAT = 'pinfold-review/1';

/** Everything that a review says. */
export interface Review extends MeasuredPatch {
  /** The file, as the user wrote it, and its hash. */
  readonly file: string;
  readonly sha256: string;
  /** Version and commit of pinfold; null: unknown. */
  readonly version: string;
  readonly commit: string | null;
  /** What the file is a difference against, as it says. */
  readonly base: string;
  /** The release whose rules hold. */
  readonly kernel: string;
  readonly algorithm: PinAlgorithm;
  /** What the check has found. */
  readonly report: CheckReport;
  /** What has ended it before its sequences did; empty if nothing has. */
  readonly ended: string;
  /** Size of the mappings that were measured, in bytes. */
  readonly size: number;
}

/** A paragraph of a mail. */
function paragraph(text: string): string {
  return markdownStyle.paragraph(text);
}

/**
 * The report in Markdown, no wider than a mail but for what is to be run as it stands.
 *
 * @param review what was found and measured
 * @param flags the flags that make the same report again
 * @returns the text
 */
export function reviewText(
  review: Review,
  flags: { readonly kernel?: string; readonly allow: readonly string[] },
): string {
  const { report, algorithm } = review;
  return [
    `# ${algorithm.name}: ${verdictOf(report)}\n`,
    paragraph(`${algorithm.summary}.`),
    factsText(review, flags),
    findingsText(review),
    comparisonText(review),
    callsText(review),
  ].join('\n');
}

/** The verdict in a few words. */
function verdictOf({ findings, waived }: CheckReport): string {
  const besides = waived.length === 0 ? '' : ` (${formatCount(waived.length)} waived)`;
  if (findings.length === 0) return `nothing violated${besides}`;
  const grades = [...new Set(findings.map(({ grade }) => grade))];
  const counts = grades.map((grade) => {
    const ofGrade = findings.filter((one) => one.grade === grade).length;
    return ofGrade === 1 ? grade : `${grade} (${ofGrade} rules)`;
  });
  return `violated: ${counts.join(', ')}${besides}`;
}

/** What was reviewed, by what, and how to get the same again. */
function factsText(
  { file, sha256, version, commit, base, kernel, report, ended, size }: Review,
  { kernel: asked, allow }: { readonly kernel?: string; readonly allow: readonly string[] },
): string {
  const { seed, sequences, layouts, classes, against } = report;
  const again = [
    `pinfold review --runs ${sequences} --seed ${seed} --size ${formatSize(size)}`,
    ...(asked === undefined ? [] : [`--kernel ${asked}`]),
    ...(allow.length === 0 ? [] : [`--allow ${allow.join(',')}`]),
    quoted(file),
  ];
  const sequencesText = `${formatCount(sequences)} sequences, ${formatCount(layouts)} layouts`;
  const facts = {
    file: `${file}, sha256 ${sha256}`,
    base: `${base}, under the rules of Linux ${kernel}`,
    checked:
      `${sequencesText}, ${classes} boundary classes, seed ${seed}, ` +
      `against ${against}${ended && `; ${ended}`}`,
    by: `pinfold ${version}${commit === null ? '' : `, commit ${commit}`}; a model, no kernel was run`,
  };
  const lines = Object.entries(facts).map(([label, text]) => ({ label, text }));
  return `${markdownStyle.notes(lines)}\n${fence('sh', [again.join(' ')])}`;
}

function findingsText({ report }: Review): string {
  const { findings, known, waived } = report;
  const shown = findings.map((finding, i) => findingText(finding, i + 1));
  const rest = [
    ...waived.map(
      ({ grade, invariant, what }) => `Waived (${grade}): ${INVARIANTS[invariant]}: ${what}.`,
    ),
    ...(known.length === 0
      ? []
      : [`${formatCount(known.length)} more show what kernels do wrong too; they do not count.`]),
  ];
  const none = findings.length === 0 ? ['No sequence violates an invariant.'] : [];
  return [
    '## Counterexamples\n',
    ...shown,
    ...[...none, ...rest].map((text) => paragraph(text)),
  ].join('\n');
}

function findingText(
  { grade, invariant, what, restsOn, scenario }: CheckFinding,
  number: number,
): string {
  return [
    `### ${number}. ${grade}: ${INVARIANTS[invariant]}\n`,
    paragraph([what, `${grade}: ${GRADES[grade]}`, restsOn].map(sentence).join(' ')),
    // The words above it stand in it as comments too.
    fence(
      '',
      scenario
        .trimEnd()
        .split('\n')
        .filter((line) => !line.startsWith('#')),
    ),
  ].join('\n');
}

function comparisonText({ comparison, notMeasured, size }: Review): string {
  return [
    `## Operations, for mappings of ${formatSize(size)}\n`,
    ...notMeasured.map((why) => paragraph(`Not measured: ${why}.`)),
    ...(comparison === null ? [] : [compareText(comparison, markdownStyle, false)]),
  ].join('\n');
}

function callsText({ calls, base, algorithm }: Review): string {
  const title = '## Calls\n';
  if (typeof calls === 'string') return `${title}\n${paragraph(`Not traced: ${calls}.`)}`;
  const what = 'a scenario that maps 3 MiB of huge pages and 64 KiB of small ones, and unmaps both';
  if (calls.length === 0)
    return `${title}\n${paragraph(`In ${what}, the calls are those of ${base}.`)}`;
  const head = [`--- ${base}`, `+++ ${algorithm.name}`];
  return `${title}\n${paragraph(`In ${what}:`)}\n${fence('diff', [...head, ...calls])}`;
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}

function fence(language: string, lines: readonly string[]): string {
  return `\`\`\`${language}\n${lines.join('\n')}\n\`\`\`\n`;
}

/**
 * The report for programs.
 *
 * @param review what was found and measured
 * @returns JSON
 */
export function reviewJson(review: Review): string {
  const { file, sha256, version, commit, base, kernel, algorithm, report, ended, size } = review;
  const { comparison, notMeasured, calls } = review;
  const json = {
    format: FORMAT,
    ...{ version, commit, file, sha256 },
    ...{ algorithm: algorithm.name, summary: algorithm.summary, base, kernel, bytes: size },
    verdict: verdictOf(report),
    check: JSON.parse(checkJson(report, [], ended !== '')) as unknown,
    not_measured: notMeasured,
    ...(comparison && { comparison: comparisonJson(comparison) }),
    ...(typeof calls === 'string'
      ? { not_traced: calls }
      : { calls: { scenario: TRACED_SCENARIO.trimEnd().split('\n'), diff: calls } }),
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

/** What is the same on every machine: no times. */
function comparisonJson({ rows, patches, smallFolios, uncounted }: CompareReport): object {
  return {
    rows: rows.map(({ algorithm, backing, layoutTag, op, operations, change, counters }) => ({
      ...{ algorithm, backing, layoutTag, op, operations, counters },
      change: change?.operations ?? null,
    })),
    patches: patches.map(({ change, ...patch }) => ({ ...patch, change: change.operations })),
    smallFolios: smallFolios.map(({ change, ...one }) => ({ ...one, change: change.operations })),
    uncounted,
  };
}
