/**
 * The scenario language: one step per line, `op key=value ...`.
 *
 * @source recordings README, "Scenario language"
 */
import { InputError } from '@pinfold/base';
import type { AnyOperation } from '../machine/any-operation.ts';
import { readMachineLine, type MachineLine } from './machine-line.ts';
import type { Op } from './op-entry.ts';
import type { Regions } from './expression.ts';
import { Repeats, type Repeated } from './repeat.ts';

/** One step of a scenario. */
export interface Step<Operation extends AnyOperation = AnyOperation> {
  /** Number of its line, from 1. */
  readonly line: number;
  /** File and line, for messages: `limit.scn:4`. */
  readonly place: string;
  /** The line without its comment and the spaces around it. */
  readonly text: string;
  /** The op. */
  readonly op: string;
  /** Where it stands among the steps of a line with `repeat=`. */
  readonly repeated?: Repeated;
  /** Whether the model has the op; if not, `evaluate` throws. */
  readonly modelled: boolean;
  /** Name of the region that it makes; undefined if it makes none. */
  readonly newRegion: string | undefined;
  /** Its arguments as written. */
  readonly arguments: Readonly<Record<string, string>>;
  /**
   * Evaluates the arguments.
   *
   * @param regions the regions that are mapped
   * @returns what a machine is asked to do
   * @throws {InputError} when a region is not mapped, a value is out of range, or the op is not
   *   modelled
   */
  evaluate(regions: Regions): Operation;
}

/** What an `audit` line says. */
export interface AuditLine {
  /** Name of the pin algorithm to compare with. */
  readonly against: string;
  /** Kernel release that the scenario is for. */
  readonly kernel?: string;
}

/** A scenario. */
export interface Scenario<Operation extends AnyOperation = AnyOperation> {
  /** Its file, for messages. */
  readonly file: string;
  /** Its title, empty without one. */
  readonly title: string;
  /** Whether layouts and page tables are of interest: false with `#nolayout`. */
  readonly layout: boolean;
  /** What its `machine` line says of the machine; pinfold's own. */
  readonly machine: MachineLine;
  /**
   * What its `audit` line asks for: whether the steps keep every rule is looked at after each, and
   * they are compared with another pin algorithm, on a kernel; null without the line. Pinfold's own.
   */
  readonly audit: AuditLine | null;
  /** Its steps. */
  readonly steps: readonly Step<Operation>[];
}

/** The scenario language with the ops of a kind of machine. */
export class ScenarioLanguage<Operation extends AnyOperation = AnyOperation> {
  /** Its ops, by name. */
  readonly ops: ReadonlyMap<string, Op<Operation>>;

  /** @param ops the ops, by name */
  constructor(ops: ReadonlyMap<string, Op<Operation>>) {
    this.ops = ops;
  }

  /**
   * Reads a scenario.
   *
   * @param script its text, or its lines
   * @param file its file, for messages
   * @returns its steps, arguments not evaluated
   * @throws {InputError} with file, line and what was expected there
   */
  parse(script: string | readonly string[], file: string): Scenario<Operation> {
    const lines = typeof script === 'string' ? script.split(/\r?\n/) : script;
    const mapped = this.#newRegions(lines);
    const steps: Step<Operation>[] = [];
    const repeats = new Repeats();
    let title: string | undefined;
    let machine: MachineLine | undefined;
    let audit: Scenario['audit'] = null;
    lines.forEach((line, index) => {
      const place = `${file}:${index + 1}`;
      const [op = '', ...words] = wordsOf(line);
      if (op === '') return;
      if (op === 'title') {
        if (title !== undefined) throw new InputError(place, 'one title', 'a second');
        title = words.join(' ');
        return;
      }
      if (op === 'machine') {
        if (machine) throw new InputError(place, 'one machine', 'a second');
        machine = readMachineLine(words, place);
        return;
      }
      if (op === 'audit') {
        audit = readAudit(words, place);
        return;
      }
      const unrolled = repeats.read(op, words, place);
      for (let i = 0; i < unrolled.count; i++) {
        const { step, regions } = this.#step(op, unrolled.words(i), index + 1, place);
        checkRegions(regions, index + 1, mapped, place);
        checkNewRegion(step, mapped, unrolled.count);
        const repeated = unrolled.repeated(i);
        steps.push(repeated ? { ...step, repeated } : step);
      }
    });
    const layout = !lines.some((line) => line.includes('#nolayout'));
    return { file, title: title ?? '', layout, machine: machine ?? {}, audit, steps };
  }

  /** The line that makes each region, by name. */
  #newRegions(lines: readonly string[]): Map<string, number> {
    const made = new Map<string, number>();
    lines.forEach((line, index) => {
      const [op = '', ...words] = wordsOf(line);
      const argument = this.ops.get(op)?.newRegion;
      if (argument === undefined) return;
      const name = words
        .find((word) => word.startsWith(`${argument}=`))
        ?.slice(argument.length + 1);
      if (name !== undefined && !made.has(name)) made.set(name, index + 1);
    });
    return made;
  }

  #step(
    op: string,
    words: readonly string[],
    line: number,
    place: string,
  ): { step: Step<Operation>; regions: readonly string[] } {
    const found = this.ops.get(op);
    if (!found) throw new InputError(place, `one of ${[...this.ops.keys()].join(', ')}`, `'${op}'`);
    const { written, regions, evaluate } = found.read(words, place);
    const text = [op, ...words].join(' ');
    const newRegion = found.newRegion === undefined ? undefined : written[found.newRegion];
    const { modelled } = found;
    const step = { line, place, text, op, modelled, newRegion, arguments: written, evaluate };
    return { step, regions };
  }
}

/** A region's name is its own, whatever line makes it. */
function checkNewRegion(
  { newRegion: name, line, place }: Step,
  mapped: ReadonlyMap<string, number>,
  count: number,
): void {
  if (name === undefined) return;
  const first = mapped.get(name) ?? 0;
  const expected = 'a name that no other region has';
  if (first < line) throw new InputError(place, expected, `'${name}', which line ${first} maps`);
  if (count > 1) throw new InputError(place, expected, `'${name}' in each of ${count} steps`);
}

/** The words of an `audit` line. */
function readAudit(words: readonly string[], place: string): AuditLine {
  const text = words.join(' ');
  const [, against, kernel] = /^against=(\S+)(?: kernel=(\S+))?$/.exec(text) ?? [];
  if (against !== undefined) return { against, ...(kernel !== undefined && { kernel }) };
  throw new InputError(place, 'audit against=ALGORITHM [kernel=RELEASE]', `'${text}'`);
}

/** The words of a line up to a comment, which begins with a `#` at the start of a word. */
function wordsOf(line: string): string[] {
  const words = line.split(/\s+/).filter((word) => word !== '');
  const comment = words.findIndex((word) => word.startsWith('#'));
  return comment === -1 ? words : words.slice(0, comment);
}

function checkRegions(
  names: readonly string[],
  line: number,
  mapped: ReadonlyMap<string, number>,
  place: string,
): void {
  for (const name of names) {
    const at = mapped.get(name);
    if (at !== undefined && at < line) continue;
    const known = [...mapped].filter(([, other]) => other < line).map(([other]) => other);
    const expected = `a region that is mapped before this line (${known.join(', ') || 'none is'})`;
    const got = at === undefined ? `'${name}'` : `'${name}', which line ${at} maps`;
    throw new InputError(place, expected, got);
  }
}
