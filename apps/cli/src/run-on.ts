/** `pinfold run --on`: one scenario on type1, on the container that iommufd serves, and natively. */
import {
  DEFAULT_MACHINE,
  factsOfLine,
  ModelMachine,
  parseScenario,
  type GuestScenario,
} from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import { runWhilePossible, type Observation } from '@pinfold/scenario';
import { InputError } from '@pinfold/base';
import { nativeScript } from './native-script.ts';
import { formatCount, tableText, wrapped, type Column } from './table.ts';

/** Who answers: the type1 driver, iommufd as the VFIO container, iommufd by its own calls. */
export const TARGETS = ['type1', 'compat', 'iommufd'] as const;

/** Who answers. */
export type Target = (typeof TARGETS)[number];

/** What a step did on a target. */
interface Outcome {
  /** The error; null for success. */
  readonly errno: string | null;
  /** Locked memory after it, in kB, by counter: of the process, pinned, of the user. */
  readonly locked: { readonly VmLck: number; readonly VmPin?: number; readonly UserLck?: number };
  /** Leaves of the first device's page table after it. */
  readonly entries: number;
  /** IOTLB flushes of the step. */
  readonly flushes: number;
  /** Pins of the step, and pins given back. */
  readonly pins: { readonly acquired: number; readonly released: number };
}

/** A line's step on all targets; null: the target has no such call, or did not get there. */
interface OnStep {
  readonly line: number;
  readonly text: string;
  readonly on: Readonly<Partial<Record<Target, Outcome | null>>>;
  /** What is not the same on all that have the call. */
  readonly differs: readonly string[];
}

/** What a scenario is run with. */
interface OnOptions {
  readonly kernel: string;
  readonly seed: number;
  readonly json?: boolean;
}

/**
 * Runs a scenario on several targets.
 *
 * @param scenario the scenario
 * @param script its text
 * @param targets the targets
 * @param options kernel, seed and form
 * @returns what is printed
 * @throws {InputError} where a step cannot be done, or nothing of iommufd stands for it
 */
export async function runOn(
  scenario: GuestScenario,
  script: string,
  targets: readonly Target[],
  options: OnOptions,
): Promise<string> {
  const all = new Map<Target, ReadonlyMap<string, Outcome>>();
  for (const target of targets)
    all.set(target, await outcomesOn(target, scenario, script, options));
  const steps = stepsOf(scenario, targets, all);
  const { kernel, seed, json } = options;
  if (json) {
    const run = { format: 'pinfold-run-on/1', kernel, seed, title: scenario.title, steps };
    return `${JSON.stringify(run, null, 2)}\n`;
  }
  return textOf(scenario, kernel, steps);
}

/** The outcomes by line and by how often the line came. */
async function outcomesOn(
  target: Target,
  scenario: GuestScenario,
  script: string,
  { kernel, seed }: OnOptions,
): Promise<ReadonlyMap<string, Outcome>> {
  const native = target === 'iommufd' ? nativeScript(script, scenario.file) : null;
  const run = native ? parseScenario(native.script, scenario.file) : scenario;
  const line = factsOfLine(scenario.machine, DEFAULT_MACHINE);
  const compat = target === 'compat' && ({ container: 'iommufd', opensDevices: true } as const);
  const machine = new ModelMachine({
    kernel: kernelVersion(kernel),
    facts: { ...line, ...compat },
    buddy: { seed },
  });
  const { steps, stopped } = await runWhilePossible(run, machine);
  if (stopped) throw new InputError(`--on ${target}`, 'steps that it can do', stopped.message);
  const found = new Map<string, Outcome>();
  const times = new Map<number, number>();
  let entries = 0;
  for (const { step, observation } of steps) {
    const { iommu } = observation;
    if (iommu) entries = Object.values(iommu.leaf).reduce((sum, n) => sum + n, 0);
    const n = times.get(step.line) ?? 0;
    times.set(step.line, n + 1);
    const key = `${native?.lines[step.line - 1] ?? step.line}/${n}`;
    found.set(key, outcomeOf(observation, entries, found.get(key)));
  }
  return found;
}

/** The outcome of a step, which may be the second of those that stand for one. */
function outcomeOf(
  { errno, mm, calls = {}, pins }: Observation,
  entries: number,
  first: Outcome | undefined,
): Outcome {
  const { VmLck, VmPin, UserLck } = mm;
  return {
    errno: first?.errno ?? errno,
    locked: {
      VmLck,
      ...(VmPin !== undefined && { VmPin }),
      ...(UserLck !== undefined && { UserLck }),
    },
    entries,
    flushes: (calls.intel_iommu_tlb_sync ?? 0) + (first?.flushes ?? 0),
    pins: {
      acquired: pins.acquired + (first?.pins.acquired ?? 0),
      released: pins.released + (first?.pins.released ?? 0),
    },
  };
}

function stepsOf(
  scenario: GuestScenario,
  targets: readonly Target[],
  all: ReadonlyMap<Target, ReadonlyMap<string, Outcome>>,
): OnStep[] {
  const times = new Map<number, number>();
  return scenario.steps.map(({ line, text }) => {
    const n = times.get(line) ?? 0;
    times.set(line, n + 1);
    const on = Object.fromEntries(
      targets.map((target) => [target, all.get(target)?.get(`${line}/${n}`) ?? null]),
    ) as OnStep['on'];
    const done = Object.values(on).filter((outcome) => outcome !== null);
    const differs = Object.entries(COMPARED).flatMap(([name, value]) =>
      new Set(done.map(value)).size > 1 ? [name] : [],
    );
    return { line, text, on, differs };
  });
}

/** What is compared between targets. */
const COMPARED: Readonly<Record<string, (outcome: Outcome) => number | string | null>> = {
  errno: ({ errno }) => errno,
  VmLck: ({ locked }) => locked.VmLck,
  entries: ({ entries }) => entries,
  flushes: ({ flushes }) => flushes,
  pins: ({ pins }) => `${pins.acquired}-${pins.released}`,
};

/** A row of the table. */
interface Row {
  readonly line: string;
  readonly target: Target;
  readonly outcome: Outcome | null;
  readonly differs: string;
}

const figure = (value: number | undefined): string =>
  value === undefined ? '-' : formatCount(value);

const COLUMNS: readonly Column<Row>[] = [
  { heading: 'line', cell: ({ line }) => line },
  { heading: 'on', words: true, cell: ({ target }) => target },
  {
    heading: 'result',
    words: true,
    cell: ({ outcome }) => (outcome ? (outcome.errno ?? '0') : 'no call'),
  },
  { group: 'kB', heading: 'VmLck', cell: ({ outcome }) => figure(outcome?.locked.VmLck) },
  { group: 'kB', heading: 'VmPin', cell: ({ outcome }) => figure(outcome?.locked.VmPin) },
  { group: 'kB', heading: 'user', cell: ({ outcome }) => figure(outcome?.locked.UserLck) },
  { heading: 'entries', cell: ({ outcome }) => figure(outcome?.entries) },
  { heading: 'flushes', cell: ({ outcome }) => figure(outcome?.flushes) },
  { heading: 'differs', words: true, cell: ({ differs }) => differs },
];

/** Steps that make no call of VFIO or iommufd, and go the same everywhere, are left out. */
function textOf({ title }: GuestScenario, kernel: string, steps: readonly OnStep[]): string {
  const isShown = ({ on, differs }: OnStep): boolean =>
    differs.length > 0 ||
    Object.values(on).some(
      (one) => one?.errno !== null || one.pins.acquired + one.pins.released > 0,
    );
  const shown = steps.filter(isShown);
  const rows = shown.flatMap(({ line, on, differs }) =>
    (Object.keys(on) as Target[]).map((target, i): Row => ({
      line: i === 0 ? String(line) : '',
      target,
      outcome: on[target] ?? null,
      differs: i === 0 ? differs.join(', ') : '',
    })),
  );
  const seen = [...new Map(shown.map(({ line, text }) => [line, text]))];
  const list = seen.map(([line, text]) => wrapped(`${line}: ${text}`, '    ', '  ')).join('');
  const different = shown.filter(({ differs }) => differs.length > 0).length;
  const verdict = `${formatCount(different)} of ${formatCount(steps.length)} steps go differently. VmPin and user are counted by iommufd alone. Its limit is on VmLck in the container and on user natively; a process with CAP_IPC_LOCK it does not charge.`;
  const heading = wrapped(`Linux ${kernel}${title && `: ${title}`}`, '  ', '');
  const table = rows.length > 0 ? `\n${tableText(COLUMNS, rows)}\n${list}` : '';
  return `${heading}${table}\n${wrapped(verdict, '')}`;
}
