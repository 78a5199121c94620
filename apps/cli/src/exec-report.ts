/** What `pinfold exec` says of a program that has ended. */
import type { ProgramRun } from '@pinfold/exec';
import {
  DEFAULT_MACHINE,
  explainWhilePossible,
  factsOfLine,
  ModelMachine,
  parseScenario,
  type Explanation,
} from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import { formatSize } from '@pinfold/base';
import { explanationText } from './explanation-text.ts';
import { foldExplanations } from './fold-repeats.ts';
import { onOneLine } from './output.ts';
import type { PredictedClock, PredictedTotal } from './predicted-clock.ts';
import { formatCount, wrapped } from './table.ts';

/** Operations that are calls of the program on VFIO; the others are its memory. */
const MEMORY_OPS = new Set([
  'mmap',
  'touch',
  'munmap',
  'madvise',
  'mprotect',
  'mremap',
  'container',
]);

/** What a run comes to. */
interface Summary {
  readonly kernel: string;
  readonly exitCode: number;
  readonly calls: Readonly<Record<string, { made: number; failed: number }>>;
  readonly explanations: readonly Explanation[];
  readonly leftOpen: readonly string[];
  readonly leftMapped: readonly { iova: string; size: string; closedBy: string }[];
  readonly notModelled: Readonly<Record<string, number>>;
  readonly fatal: string | null;
  readonly faults: readonly string[];
  readonly clock: 'real' | ({ readonly predictedBy: string } & PredictedClock['totals']);
}

/**
 * The report as text.
 *
 * @param run the run
 * @param kernel name of the release
 * @returns the text, for a terminal
 */
export async function execReport(
  run: ProgramRun,
  kernel: string,
  clock: PredictedClock | null,
): Promise<string> {
  const summary = await summaryOf(run, kernel, clock);
  const { calls, explanations, exitCode } = summary;
  const made = Object.entries(calls).map(([op, { made: n, failed }]) => {
    return `${op} ${formatCount(n)}${failed > 0 ? ` (${formatCount(failed)} failed)` : ''}`;
  });
  const parts = [
    wrapped(
      made.length > 0 ? `${made.join(', ')}.` : 'The program made no call of VFIO.',
      '  ',
      `\npinfold exec: Linux ${kernel}, exit code ${exitCode}. `,
    ),
    clockText(summary),
    ...(explanations.length > 0
      ? [
          `\n${foldExplanations(explanations)
            .map((one) => explanationText(one, kernel))
            .join('\n')}`,
        ]
      : []),
    ...leftovers(summary),
  ];
  return parts.join('');
}

/**
 * The report as JSON.
 *
 * @param run the run
 * @param kernel name of the release
 * @returns the text
 */
export async function execReportJson(
  run: ProgramRun,
  kernel: string,
  clock: PredictedClock | null,
): Promise<string> {
  const summary = await summaryOf(run, kernel, clock);
  return `${JSON.stringify({ format: 'pinfold-exec/1', ...summary }, null, 2)}\n`;
}

async function summaryOf(
  run: ProgramRun,
  kernel: string,
  clock: PredictedClock | null,
): Promise<Summary> {
  const { session, exitCode, leftOpen } = run;
  const { model, notModelled, faults } = session;
  const calls: Record<string, { made: number; failed: number }> = {};
  for (const { operation, code } of model.done) {
    if (MEMORY_OPS.has(operation.op)) continue;
    const count = (calls[operation.op] ??= { made: 0, failed: 0 });
    count.made += 1;
    if (code < 0) count.failed += 1;
  }
  return {
    ...{ kernel, exitCode, calls, leftOpen, fatal: model.fatal, faults },
    explanations: await explanationsOf(run, kernel),
    leftMapped: model.leftMapped.map(({ iova, size, closedBy }) => {
      return { iova: `0x${iova.toString(16)}`, size: `0x${size.toString(16)}`, closedBy };
    }),
    notModelled: Object.fromEntries(notModelled),
    clock: clock ? { predictedBy: clock.profile.name, ...clock.totals } : 'real',
  };
}

/** What went wrong, from the run as a scenario: the same words as those of `pinfold explain`. */
async function explanationsOf({ session }: ProgramRun, kernel: string): Promise<Explanation[]> {
  const scenario = parseScenario(session.model.scenario(), 'exec');
  const facts = factsOfLine(scenario.machine, DEFAULT_MACHINE);
  const machineOf = (release: ReturnType<typeof kernelVersion>): ModelMachine =>
    new ModelMachine({ kernel: release, facts });
  const { explanations } = await explainWhilePossible(scenario, kernelVersion(kernel), machineOf);
  return explanations;
}

/** Which clock the program saw, and what it said of the calls. */
function clockText({ clock }: Summary): string {
  if (clock === 'real') return 'Its clock was the real one: it saw the time of the model.\n';
  const { predictedBy, map, unmap } = clock;
  const part = (name: string, { calls, seconds, low, high }: PredictedTotal): string =>
    `${formatCount(calls)} ${name} ${seconds.toFixed(3)} s (${low.toFixed(3)} to ${high.toFixed(3)})`;
  return wrapped(
    `${part('maps', map)}, ${part('unmaps', unmap)}, with their 90 % intervals.`,
    '  ',
    `Its clock showed predicted time, by the profile ${predictedBy}: `,
  );
}

function leftovers({ leftMapped, leftOpen, notModelled, fatal, faults }: Summary): string[] {
  const bytes = leftMapped.reduce((sum, { size }) => sum + Number(size), 0);
  const unknown = Object.entries(notModelled).map(([what, n]) => `${onOneLine(what)} (${n} times)`);
  const first = leftMapped
    .slice(0, SHOWN)
    .map(({ iova, size }) => `${iova}, ${formatSize(Number(size))}`)
    .join('; ');
  return [
    ...(leftMapped.length > 0
      ? [
          wrapped(
            `${formatCount(leftMapped.length)} mappings of ${formatSize(bytes)} in all were never unmapped ` +
              `(iova ${first}${leftMapped.length > SHOWN ? '; ...' : ''}).`,
            '  ',
            '\nLeft mapped: ',
          ),
        ]
      : []),
    ...(leftOpen.length > 0 ? [wrapped(leftOpen.join(', '), '  ', '\nLeft open: ')] : []),
    ...(unknown.length > 0 ? [wrapped(unknown.join(', '), '  ', '\nNot modelled: ')] : []),
    ...(fatal === null ? [] : [wrapped(fatal, '  ', '\nThe model could not go on: ')]),
    ...(faults.length > 0 ? [`\nFaults of pinfold:\n${faults.join('\n')}\n`] : []),
  ];
}

/** Mappings that are named. */
const SHOWN = 3;
