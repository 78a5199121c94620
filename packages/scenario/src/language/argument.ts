/** Arguments of an op: which it has, which it needs, and how a line's `key=value` words are read. */
import { InputError } from '@pinfold/base';
import type { ArgumentKind, ReadValue } from './argument-kinds.ts';
import type { Regions } from './expression.ts';

/** An argument of an op. */
export interface Argument<Value, Required extends boolean = boolean> {
  /** How its value is written. */
  readonly kind: ArgumentKind<Value>;
  /** Whether a line without it is wrong. */
  readonly required: Required;
}

/** The arguments of an op, by name. */
export type Arguments = Readonly<Record<string, Argument<unknown>>>;

/** The evaluated values of a line's arguments: those that may be left out may be absent. */
export type Values<Args extends Arguments> = {
  readonly [
    Name in keyof Args as Args[Name]['required'] extends true ? Name : never
  ]: Args[Name] extends Argument<infer Value> ? Value : never;
} & {
  readonly [
    Name in keyof Args as Args[Name]['required'] extends true ? never : Name
  ]?: Args[Name] extends Argument<infer Value> ? Value : never;
};

/**
 * An argument that a line must have.
 *
 * @param kind how its value is written
 * @returns the argument
 */
export function needed<Value>(kind: ArgumentKind<Value>): Argument<Value, true> {
  return { kind, required: true };
}

/**
 * An argument that a line may have.
 *
 * @param kind how its value is written
 * @returns the argument
 */
export function optional<Value>(kind: ArgumentKind<Value>): Argument<Value, false> {
  return { kind, required: false };
}

/** The arguments of a line: as written, and ready to be evaluated. */
export interface ReadArguments<Args extends Arguments> {
  /** As written, by name. */
  readonly written: Readonly<Record<string, string>>;
  /** Regions that they name. */
  readonly regions: readonly string[];
  /** Gives the values when these regions are mapped. */
  readonly evaluate: (regions: Regions) => Values<Args>;
}

/**
 * How an op is written.
 *
 * @param op its name
 * @param args its arguments
 * @returns for example `info` or `open type= [dev=]`
 */
export function usage(op: string, args: Arguments): string {
  const words = Object.entries(args).map(([name, { required }]) =>
    required ? `${name}=` : `[${name}=]`,
  );
  return [op, ...words].join(' ');
}

/**
 * Reads the arguments of a line.
 *
 * @param op the op, for messages
 * @param args the arguments that it has
 * @param words the line's words behind the op
 * @param place file and line, for messages
 * @returns the arguments
 * @throws {InputError} when a word is no argument of the op, comes twice or cannot be read, or when
 *   one that is needed is missing
 */
export function readArguments<Args extends Arguments>(
  op: string,
  args: Args,
  words: readonly string[],
  place: string,
): ReadArguments<Args> {
  const written = splitWords(op, args, words, place);
  const read: [string, ReadValue<unknown>][] = [];
  for (const [name, { kind, required }] of Object.entries(args)) {
    const value = written.get(name);
    if (value !== undefined) read.push([name, kind.read(value, `${place}: ${name}`)]);
    else if (required) throw new InputError(place, usage(op, args), `no ${name}=`);
  }
  return {
    written: Object.fromEntries(written),
    regions: read.flatMap(([, value]) => value.regions),
    evaluate: (regions) =>
      Object.fromEntries(
        read.map(([name, value]) => [name, value.evaluate(regions)]),
      ) as Values<Args>,
  };
}

function splitWords(
  op: string,
  args: Arguments,
  words: readonly string[],
  place: string,
): Map<string, string> {
  const written = new Map<string, string>();
  for (const word of words) {
    const [, name, value] = /^([^=]*)=([^]*)$/.exec(word) ?? [];
    if (name === undefined || value === undefined || !Object.hasOwn(args, name)) {
      throw new InputError(place, usage(op, args), `'${word}'`);
    }
    if (written.has(name)) throw new InputError(place, `${name}= once`, `a second '${word}'`);
    written.set(name, value);
  }
  return written;
}
