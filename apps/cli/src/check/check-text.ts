/** The report of `pinfold check`, as text and as JSON. */
import { INVARIANTS, knownFrom, type CheckFinding, type CheckReport } from '@pinfold/scenario';
import { violationText } from '../audit-text.ts';
import { formatCount } from '../table.ts';

/** Format of the JSON. */
const FORMAT = 'pinfold-check/1';

/**
 * The report in words.
 *
 * @param report what was found
 * @param replay the command that replays a file
 * @param files the scenario files, of the findings and then of what is known
 * @returns the text
 */
export function checkText(report: CheckReport, replay: string, files: readonly string[]): string {
  const { algorithm, against, kernel, seed, sequences, layouts, classes } = report;
  const tried =
    `${formatCount(sequences)} sequences, ${formatCount(layouts)} layouts, ` +
    `${classes} boundary classes, seed ${seed}`;
  const head = `${algorithm} on Linux ${kernel}, compared with ${against}\n${tried}\n`;
  const all = [...report.findings, ...report.known];
  const texts = all.map((finding, i) => findingText(finding, replay, files.at(i)));
  const none = report.findings.length === 0 ? '\nnothing violated\n' : '';
  return `${head}${none}${texts.join('')}`;
}

function findingText(finding: CheckFinding, replay: string, file: string | undefined): string {
  const { known, what } = finding;
  const title =
    known === null
      ? `violated: ${violationText(finding)}`
      : `known: ${knownFrom(known)}\n  ${known}\n  ${what}`;
  const where = file === undefined ? '' : `  ${replay} ${quoted(file)}\n`;
  return `\n${title}\n${where}`;
}

/**
 * The report for programs.
 *
 * @param report what was found
 * @param files the scenario files, of the findings and then of what is known
 * @returns JSON
 */
export function checkJson(report: CheckReport, files: readonly string[]): string {
  const { findings, known, ...rest } = report;
  const json = {
    format: FORMAT,
    ...rest,
    findings: findings.map((finding, i) => findingJson(finding, files.at(i))),
    known: known.map((finding, i) => findingJson(finding, files.at(findings.length + i))),
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

function findingJson(finding: CheckFinding, file: string | undefined): object {
  const { invariant, what, known, index, scenario } = finding;
  return {
    ...{ invariant, rule: INVARIANTS[invariant], what, known, sequence: index },
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
