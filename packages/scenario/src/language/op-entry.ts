/** An op of the scenario language, and what an entry of the table of ops is made of. */
import { InputError } from '@pinfold/base';
import { readArguments, usage, type Arguments, type Values } from './argument.ts';
import type { AnyOperation } from '../machine/any-operation.ts';
import type { Regions } from './expression.ts';

/** A line of an op, read. */
export interface ReadOp<Operation extends AnyOperation = AnyOperation> {
  /** Its arguments as written. */
  readonly written: Readonly<Record<string, string>>;
  /** Regions that they name. */
  readonly regions: readonly string[];
  /** Gives the operation when these regions are mapped. */
  readonly evaluate: (regions: Regions) => Operation;
}

/** An op of the language. */
export interface Op<Operation extends AnyOperation = AnyOperation> {
  /** How it is written: `open type= [dev=]`. */
  readonly usage: string;
  /** Its arguments, by name; undefined where nobody has described them. */
  readonly arguments?: Arguments;
  /** The argument that is the name of the region that it makes; undefined if it makes none. */
  readonly newRegion?: string;
  /** Whether the model has it. */
  readonly modelled: boolean;
  /** Reads the words of a line behind the op; `place` is file and line. */
  readonly read: (words: readonly string[], place: string) => ReadOp<Operation>;
}

/** Makes the op of a name. */
export type Entry<Operation extends AnyOperation = AnyOperation> = (name: string) => Op<Operation>;

/**
 * An op with arguments.
 *
 * @param args the arguments that it has
 * @param build makes the operation of their values
 * @param check refuses arguments that do not go together; `place` is file and line
 * @returns its entry
 */
export function op<Args extends Arguments, const Operation extends AnyOperation>(
  args: Args,
  build: (values: Values<Args>) => Operation,
  check: (written: Readonly<Record<string, string>>, place: string) => void = () => undefined,
): Entry<Operation> {
  const newRegion = newRegionArgument(args);
  return (name) => ({
    usage: usage(name, args),
    arguments: args,
    ...(newRegion !== undefined && { newRegion }),
    modelled: true,
    read: (words, place) => {
      const { evaluate, ...read } = readArguments(name, args, words, place);
      check(read.written, place);
      return { ...read, evaluate: (regions) => build(evaluate(regions)) };
    },
  });
}

/**
 * An op without arguments.
 *
 * @param name its name
 * @returns its entry
 */
export function plain<const Name extends string>(name: Name): Entry<{ readonly op: Name }> {
  return op({}, () => ({ op: name }));
}

/**
 * An op that is read and cannot be done.
 *
 * @param args the arguments that it has
 * @returns its entry
 */
export function notModelled(args: Arguments): Entry<never> {
  return (name) => ({
    usage: usage(name, args),
    modelled: false,
    read: (words, place) => {
      const { written, regions } = readArguments(name, args, words, place);
      return { written, regions, evaluate: () => refuse(name, place) };
    },
  });
}

/**
 * An op that cannot be done and whose arguments nobody has described.
 *
 * @returns its entry
 */
export function undescribed(): Entry<never> {
  return (name) => ({
    usage: `${name} ...`,
    modelled: false,
    read: (_words, place) => ({
      ...{ written: {}, regions: [] },
      evaluate: () => refuse(name, place),
    }),
  });
}

function refuse(name: string, place: string): never {
  throw new InputError(place, 'an op that is modelled', `${name}, which is not modelled yet`);
}

/** The argument that is the name of a new region. */
function newRegionArgument(args: Arguments): string | undefined {
  return Object.entries(args).find(([, { kind }]) => kind.namesNewRegion)?.[0];
}
