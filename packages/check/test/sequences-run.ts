/** Runs a random scenario on a machine, with an audit after every step, and makes it smaller. */
import { InputError, KernelHang } from '@pinfold/base';
import { ModelMachine, parseScenario, type GuestScenario } from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import type { Region } from '@pinfold/scenario';
import { InvariantAudit } from '../src/index.ts';
import { machineNamed, type SequenceMachine } from './sequences-machines.ts';
import { randomScenario } from './sequences-steps.ts';
import { DeviceWatch } from './sequences-watch.ts';

/** Which random scenario, where. */
export interface SequenceId {
  readonly kernel: string;
  readonly machine: string;
  readonly seed: number;
}

/** Something that must not be. */
export interface Finding {
  /** The invariant, or the kind of error: what a smaller scenario has to show too. */
  readonly rule: string;
  /** The step after which it was found, and what was found. */
  readonly what: string;
}

/** What a scenario did. */
export interface SequenceResult {
  /** The first finding; null if all was well. */
  readonly finding: Finding | null;
  /** Steps done, and those that succeeded, by op. */
  readonly done: ReadonlyMap<string, readonly [all: number, good: number]>;
  /** Pages pinned. */
  readonly pinned: number;
  /** Pages copied: migrations, forks, copies on write. */
  readonly copied: number;
}

/**
 * Runs a scenario to its end, or to the first finding.
 *
 * @param lines its lines
 * @param id kernel and machine; the seed decides where frames lie
 * @returns what was found
 */
export async function runSequence(
  lines: readonly string[],
  { kernel, machine, seed }: SequenceId,
): Promise<SequenceResult> {
  const done = new Map<string, [number, number]>();
  const model = makeMachine(machineNamed(machine), kernel, seed);
  const { memory } = model.inspect();
  if (!memory.frames) throw new Error('a machine without frames');
  const audit = new InvariantAudit(model);
  const scenario = parseScenario(lines, 'sequence.scn');
  const watch = new DeviceWatch(memory.frames);
  const finding = await runSteps(scenario, model, audit, watch, done).finally(() => {
    watch.stop();
  });
  return {
    ...{ finding, done, pinned: memory.vmstat.nrFollPinAcquired },
    copied: memory.counters.snapshot().pagesCopied,
  };
}

function makeMachine(machine: SequenceMachine, kernel: string, seed: number): ModelMachine {
  const { facts, fragmentation = 0 } = machine;
  return new ModelMachine({
    ...{ kernel: kernelVersion(kernel), facts, buddy: { seed, fragmentation } },
  });
}

async function runSteps(
  scenario: GuestScenario,
  model: ModelMachine,
  audit: InvariantAudit,
  watch: DeviceWatch,
  done: Map<string, [number, number]>,
): Promise<Finding | null> {
  const regions = new Map<string, Region>();
  for (const step of scenario.steps) {
    const { text, line, op } = step;
    const where = `line ${line}: ${text}`;
    const operation = attempt(() => step.evaluate(regions));
    // A region whose mmap failed: the step cannot be done.
    if (operation instanceof InputError) continue;
    if (operation instanceof Error) return findingOf(operation, where);
    try {
      const shown = await model.perform(operation);
      const name = step.newRegion;
      if (name !== undefined && shown.va !== undefined && shown.size !== undefined) {
        regions.set(name, { va: BigInt(shown.va), size: BigInt(shown.size) });
      }
      const [all, good] = done.get(op) ?? [0, 0];
      done.set(op, [all + 1, good + (shown.ret === 0 ? 1 : 0)]);
      const [broken] = audit.check(operation);
      if (broken) return { rule: broken.invariant, what: `${where}: ${broken.what}` };
      if (watch.violations.length > 0) return watchFinding(watch, where);
    } catch (error) {
      // What the machine cannot do; but what the frames cannot be is its own fault.
      if (error instanceof InputError && !error.place.startsWith('frame')) continue;
      // Nothing comes after a call that never returns.
      if (error instanceof KernelHang) return null;
      return findingOf(error, where);
    }
  }
  return finish(model, audit, watch);
}

async function finish(
  model: ModelMachine,
  audit: InvariantAudit,
  watch: DeviceWatch,
): Promise<Finding | null> {
  try {
    await model.exit();
    const [broken] = audit.checkEnd();
    if (broken) return { rule: broken.invariant, what: `at the end: ${broken.what}` };
    return watch.violations.length > 0 ? watchFinding(watch, 'at the end') : null;
  } catch (error) {
    return findingOf(error, 'at the end');
  }
}

function watchFinding(watch: DeviceWatch, where: string): Finding {
  const rule = 'no frame is freed or handed out that the device can reach';
  return { rule, what: `${where}: ${watch.violations[0]}` };
}

function attempt<T>(action: () => T): T | Error {
  try {
    return action();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** An error, whose numbers may be others in a smaller scenario. */
function findingOf(error: unknown, where: string): Finding {
  const known = error instanceof Error ? error : new Error(String(error));
  const place = (known.stack ?? '').split('\n').slice(1, 4).join(' ');
  const rule = `${known.name}: ${known.message.replace(/\d+/g, 'n')}`;
  return { rule, what: `${where}: ${known.message} ${place}` };
}

/**
 * Runs the random scenario of a seed.
 *
 * @param id kernel, machine, seed
 * @returns its lines, and what was found
 */
export async function runRandom(
  id: SequenceId,
): Promise<SequenceResult & { readonly lines: readonly string[] }> {
  const lines = randomScenario(machineNamed(id.machine), id.seed);
  return { ...(await runSequence(lines, id)), lines };
}

/**
 * Leaves lines out, and makes numbers smaller, as long as the same is found.
 *
 * @param lines a scenario in which something is found
 * @param id kernel and machine
 * @param finding what is found
 * @returns the smallest scenario that was tried and shows it
 */
export async function shrink(
  lines: readonly string[],
  id: SequenceId,
  finding: Finding,
): Promise<readonly string[]> {
  const shows = async (candidate: readonly string[]): Promise<boolean> => {
    try {
      return (await runSequence(candidate, id)).finding?.rule === finding.rule;
    } catch {
      return false;
    }
  };
  let best = lines;
  for (let again = true; again;) {
    const smaller = await smallerNumbers(await fewerLines(best, shows), shows);
    again = smaller.join('\n') !== best.join('\n');
    best = smaller;
  }
  return best;
}

type Shows = (candidate: readonly string[]) => Promise<boolean>;

async function fewerLines(lines: readonly string[], shows: Shows): Promise<readonly string[]> {
  let best = lines;
  for (let size = Math.ceil(lines.length / 2); size > 0; size = Math.floor(size / 2)) {
    for (let at = best.length - size; at >= 0; at--) {
      const candidate = [...best.slice(0, at), ...best.slice(at + size)];
      if (await shows(candidate)) best = candidate;
      at = Math.min(at, best.length - size + 1);
    }
  }
  return best;
}

async function smallerNumbers(lines: readonly string[], shows: Shows): Promise<readonly string[]> {
  let best = lines;
  for (let at = 0; at < best.length; at++) {
    for (let simpler = true; simpler;) {
      simpler = false;
      for (const candidate of simplerLines(best[at])) {
        if (simpler || sizeOf(candidate) >= sizeOf(best[at])) continue;
        const changed = [...best.slice(0, at), candidate, ...best.slice(at + 1)];
        simpler = await shows(changed);
        if (simpler) best = changed;
      }
    }
  }
  return best;
}

/** What is to become small: the length of the text, then its numbers of pages. */
function sizeOf(line: string): number {
  const pages = Array.from(line.matchAll(/\d+(?=P\b)/g), ([text]) => Number(text));
  return line.length * 2 ** 30 + pages.reduce((sum, n) => sum + n, 0);
}

/** A line without one of its arguments, or with a smaller number of pages. */
function simplerLines(line: string): string[] {
  const words = line.split(' ');
  const without = words.map((_, i) => words.filter((_word, j) => j !== i).join(' ')).slice(1);
  const atStart = [line.replace(/[+-]\d+P/, '')];
  const smaller = [...line.matchAll(/\d+(?=P\b)/g)].flatMap(({ 0: text, index }) =>
    [1, 2, 512, Math.floor(Number(text) / 2), Number(text) - 1]
      .filter((n) => n > 0 && n < Number(text))
      .map((n) => line.slice(0, index) + String(n) + line.slice(index + text.length)),
  );
  const fewerFlags = [...line.matchAll(/(?<=flags=)\S+/g)].flatMap(({ 0: text, index }) =>
    text
      .split(',')
      .map((flag) =>
        text
          .split(',')
          .filter((other) => other !== flag)
          .join(','),
      )
      .filter((flags) => flags !== '')
      .map((flags) => line.slice(0, index) + flags + line.slice(index + text.length)),
  );
  return [...without, ...atStart, ...fewerFlags, ...smaller];
}
