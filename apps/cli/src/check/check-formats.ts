/** The report of `pinfold check` for continuous integration: TAP, JUnit, annotations of GitHub. */
import { GRADES, INVARIANTS, type CheckFinding, type CheckReport } from '@pinfold/check';

/** A format. */
type Format = (report: CheckReport, files: readonly string[], own: string | undefined) => string;

/** All of them, by name. One test for each invariant: a finding fails its own. */
export const checkFormats = { tap, junit, github } as const satisfies Readonly<
  Record<string, Format>
>;

/** Name of a format. */
export type CheckFormat = keyof typeof checkFormats;

/** TAP 14: https://testanything.org */
function tap(report: CheckReport, files: readonly string[]): string {
  const tests = testsOf(report);
  const lines = tests.flatMap(({ rule, findings }, i) => [
    `${findings.length === 0 ? 'ok' : 'not ok'} ${i + 1} - ${rule}`,
    ...findings.flatMap((finding) => linesOf(finding, report, files).map((line) => `# ${line}`)),
  ]);
  return `TAP version 14\n1..${tests.length}\n${lines.join('\n')}\n`;
}

/** The XML that most servers read. */
function junit(report: CheckReport, files: readonly string[]): string {
  const tests = testsOf(report);
  const suite = escaped(`${report.algorithm} on ${report.kernel}`);
  const cases = tests.map(({ rule, findings }) => {
    const failures = findings.map((finding) => {
      const text = escaped(linesOf(finding, report, files).join('\n'));
      return `<failure type="${finding.grade}" message="${escaped(finding.what)}">${text}</failure>`;
    });
    return `  <testcase classname="${suite}" name="${escaped(rule)}">${failures.join('')}</testcase>\n`;
  });
  const failed = tests.filter(({ findings }) => findings.length > 0).length;
  const head = `<testsuite name="${suite}" tests="${tests.length}" failures="${failed}">`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n${head}\n${cases.join('')}</testsuite>\n`;
}

/** Commands of a workflow, which GitHub shows beside the file. */
function github(report: CheckReport, files: readonly string[], own: string | undefined): string {
  const place = own === undefined ? '' : `file=${property(own)},`;
  return report.findings
    .map((finding) => {
      const title = property(`${finding.grade}: ${INVARIANTS[finding.invariant]}`);
      const text = linesOf(finding, report, files).join('\n');
      return `::error ${place}title=${title}::${data(text)}\n`;
    })
    .join('');
}

interface Test {
  readonly rule: string;
  readonly findings: readonly CheckFinding[];
}

function testsOf({ findings }: CheckReport): Test[] {
  return Object.entries(INVARIANTS).map(([invariant, rule]) => ({
    rule,
    findings: findings.filter((finding) => finding.invariant === invariant),
  }));
}

function linesOf(
  finding: CheckFinding,
  { findings }: CheckReport,
  files: readonly string[],
): string[] {
  const { what, grade, restsOn, index } = finding;
  const file = files.at(findings.indexOf(finding));
  return [
    what,
    `${grade}: ${GRADES[grade]}`,
    restsOn,
    `sequence ${index}${file === undefined ? '' : `, ${file}`}`,
  ];
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
