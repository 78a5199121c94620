// What a vitest run came to, for the line "N passed, N failed" that .ci/run prints.
import { readFileSync } from 'node:fs';

/** Where results lie between the runs; of no interest afterwards. */
export const cache = 'node_modules/.cache/pinfold';

/**
 * The arguments that make vitest write a report beside what it prints.
 * @param {string} report
 */
export function reporting(report) {
  return ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
}

/**
 * Counts the tests in vitest's report. A file that could not be loaded counts as one failure, and
 * so does a run that failed without a failed test, wrote no report, or had no tests.
 * @param {string} report
 * @param {boolean} ok whether vitest itself was content
 */
export function countTests(report, ok) {
  const count = { passed: 0, failed: 0 };
  try {
    for (const file of JSON.parse(readFileSync(report, 'utf8')).testResults) {
      for (const { status } of file.assertionResults) {
        if (status === 'passed') count.passed++;
        if (status === 'failed') count.failed++;
      }
      if (file.status === 'failed' && file.assertionResults.length === 0) count.failed++;
    }
  } catch {
    count.failed++;
  }
  if (count.failed === 0 && (!ok || count.passed === 0)) count.failed++;
  return count;
}
