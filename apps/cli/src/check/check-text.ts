/** The report of `pinfold check`, as text and as JSON. */
import { textStyle, type Style } from '@pinfold/bench';
import { GRADES, INVARIANTS, knownFrom, type CheckFinding, type CheckReport } from '@pinfold/check';
import { formatCount } from '../table.ts';

/** Format of the JSON. */
const FORMAT = 'pinfold-check/1';

/**
 * The report in words.
 *
 * @param report what was found
 * @param replay the command that replays a file
 * @param files the scenario files, of the findings and then of what is known
 * @param ended what has ended the check before its sequences were; empty if nothing has
 * @param columns width of the terminal; default as for other reports
 * @returns the text
 */
export function checkText(
  report: CheckReport,
  replay: string,
  files: readonly string[],
  ended: string,
  columns?: number,
): string {
  const { algorithm, against, kernel, seed, from, sequences, layouts, classes } = report;
  const style = textStyle(columns);
  const tried =
    `${sequencesText(from, sequences)}, ${formatCount(layouts)} ${layouts === 1 ? 'layout' : 'layouts'}, ` +
    `${classes} boundary ${classes === 1 ? 'class' : 'classes'}, seed ${seed}${ended && `; ${ended}`}`;
  const head = [`${algorithm} on Linux ${kernel}, compared with ${against}`, tried];
  const all = [...report.findings, ...report.known];
  const texts = [
    ...all.map((finding, i) => findingText(finding, replay, files.at(i), style)),
    ...report.waived.map((finding) => waivedText(finding, style)),
  ];
  const none = report.findings.length === 0 ? `\n${nothing(report)}\n` : '';
  return `${head.map((line) => style.paragraph(line)).join('')}${none}${texts.join('')}`;
}

/** How many sequences; and which, unless they are the first. */
function sequencesText(from: number, count: number): string {
  if (from === 0) return `${formatCount(count)} ${count === 1 ? 'sequence' : 'sequences'}`;
  return count === 1
    ? `sequence ${from}`
    : `${formatCount(count)} sequences from ${formatCount(from)} on`;
}

function nothing({ allow }: CheckReport): string {
  return allow.length === 0
    ? 'nothing violated'
    : `nothing violated of the grades that count (--allow ${allow.join(',')})`;
}

function waivedText({ grade, invariant, what }: CheckFinding, style: Style): string {
  const title = style.paragraph(`waived (--allow ${grade}): ${INVARIANTS[invariant]}`);
  return `\n${title}${style.paragraph(what, '  ')}`;
}

function findingText(
  finding: CheckFinding,
  replay: string,
  file: string | undefined,
  style: Style,
): string {
  const { known, what, invariant, grade, restsOn } = finding;
  const [title, ...lines] =
    known === null
      ? [`violated: ${INVARIANTS[invariant]}`, what, `${grade}: ${GRADES[grade]}`, restsOn]
      : [`known: ${knownFrom(known)}`, known, what];
  // A command stays on one line, so that it can be copied.
  const where = file === undefined ? '' : `  ${replay} ${quoted(file)}\n`;
  const told = lines.map((line) => style.paragraph(line, '  ')).join('');
  return `\n${style.paragraph(title)}${told}${where}`;
}

/**
 * The report for programs.
 *
 * @param report what was found
 * @param files the scenario files, of the findings and then of what is known
 * @param interrupted whether the check was ended before its sequences were
 * @returns JSON
 */
export function checkJson(
  report: CheckReport,
  files: readonly string[],
  interrupted: boolean,
): string {
  const { findings, known, allow, waived, perClass, ...rest } = report;
  const json = {
    format: FORMAT,
    ...rest,
    per_class: perClass,
    ...(allow.length > 0 && { allow }),
    ...(interrupted && { interrupted }),
    findings: findings.map((finding, i) => findingJson(finding, files.at(i))),
    known: known.map((finding, i) => findingJson(finding, files.at(findings.length + i))),
    waived: waived.map((finding) => findingJson(finding, undefined)),
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

function findingJson(finding: CheckFinding, file: string | undefined): object {
  const { invariant, grade, what, known, index, scenario, restsOn } = finding;
  return {
    ...{ invariant, grade, rule: INVARIANTS[invariant], what, known, sequence: index },
    rests_on: restsOn,
    ...(file === undefined ? {} : { file }),
    script: scenario.trimEnd().split('\n'),
  };
}

/**
 * A word of a command line.
 *
 * @param word the word
 * @returns the word, in quotes if a shell would read it otherwise
 */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * The name of a finding's file.
 *
 * @param report the report
 * @param finding the finding
 * @param index its number, from 0
 * @returns for example `hugetlb-v1-2025-1-reach.scn`
 */
export function fileNameOf(
  { algorithm }: CheckReport,
  { invariant }: CheckFinding,
  index: number,
): string {
  const name = algorithm.replace(/[^\w.-]+/g, '-');
  return `${name}-${index + 1}-${invariant}.scn`;
}
