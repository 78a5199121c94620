/** Checks an algorithm, and finds out what a device reaches after it went wrong. */
import {
  checkedOf,
  CheckTally,
  INVARIANTS,
  reportOf,
  runBatch,
  smallestFinding,
} from '@pinfold/check';
import { kernelVersion } from '@pinfold/kernels';
import { pinAlgorithm } from '@pinfold/vfio-type1';
import { reachOf } from './reach.ts';
import type { CheckRequest, CheckResult, ShownFinding } from './request.ts';

/** Sequences between two looks at what was found. */
const BATCH = 25;

/**
 * Checks, until something is found or for all sequences.
 *
 * @param request what, and for how long
 * @param onProgress told how many sequences were run
 * @returns what was found
 */
export async function runCheck(
  { algorithm, kernel, runs, seed, all }: CheckRequest,
  onProgress: (done: number) => void = () => undefined,
): Promise<CheckResult> {
  const options = {
    ...{ algorithm: pinAlgorithm(algorithm), kernel: kernelVersion(kernel) },
    ...{ runs, seed },
  };
  const checked = checkedOf(options);
  const tally = new CheckTally(runs);
  const found = (): boolean => tally.found.some(({ known }) => known === null);
  while (tally.goesOn && (all || !found())) {
    tally.add(runBatch(checked, seed, tally.done, Math.min(BATCH, runs - tally.done)));
    onProgress(tally.done);
  }
  const smallest = tally.found.map((raw) => smallestFinding(checked, seed, raw));
  const report = reportOf(options, tally, smallest);
  const findings: ShownFinding[] = [];
  for (const finding of report.findings) {
    const reach = await reachOf(finding.scenario, checked);
    findings.push({ ...finding, rule: INVARIANTS[finding.invariant], reach });
  }
  // The words of an invariant are in the order of what weighs most, but a crash shows nothing.
  const order = ['reach', ...Object.keys(INVARIANTS)];
  findings.sort((a, b) => order.indexOf(a.invariant) - order.indexOf(b.invariant));
  return { ...report, findings };
}
