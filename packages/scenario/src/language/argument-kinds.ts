/** The kinds of values that arguments of the scenario language have, and how each is read. */
import { InputError } from '@pinfold/base';
import {
  evaluate,
  isRegionName,
  parseExpression,
  regionsOf,
  U64_MAX,
  type Expression,
  type Regions,
} from './expression.ts';
import type { FrameExtent } from './frame-extent.ts';

/** A value that was read; what it is may depend on where regions lie. */
export interface ReadValue<Value> {
  /** Regions that it names. */
  readonly regions: readonly string[];
  /** Gives the value when these regions are mapped. */
  readonly evaluate: (regions: Regions) => Value;
}

/** How the values of an argument are written. */
export interface ArgumentKind<Value> {
  /** Reads a value; `place` is where it is written, `text` what is written. */
  readonly read: (text: string, place: string) => ReadValue<Value>;
  /** Writes a value in words, where the kind has some for it. */
  readonly write?: (value: unknown) => string | undefined;
  /** Whether a value is the name of a region that the step makes. */
  readonly namesNewRegion?: true;
}

const U32_MAX = 0xffff_ffffn;
/** What an int may be below 0 at most. */
const I32_MIN = 0x8000_0000n;
const NO_REGIONS: Regions = new Map();

function constant<Value>(value: Value): ReadValue<Value> {
  return { regions: [], evaluate: () => value };
}

/** A sum; without regions in it, a result out of range is found while reading. */
function sum<Value>(
  expression: Expression,
  place: string,
  max: bigint,
  convert: (value: bigint) => Value,
): ReadValue<Value> {
  const regions = regionsOf(expression);
  const read = (known: Regions): Value => convert(evaluate(expression, known, place, max));
  return regions.length > 0 ? { regions, evaluate: read } : constant(read(NO_REGIONS));
}

/** An address or a size in bytes: any unsigned 64-bit value. */
export const bytes: ArgumentKind<bigint> = {
  read: (text, place) => sum(parseExpression(text, place), place, U64_MAX, (value) => value),
};

/** An unsigned 32-bit number. */
export const number: ArgumentKind<number> = {
  read: (text, place) => sum(parseExpression(text, place), place, U32_MAX, Number),
};

/** A signed 32-bit number. */
export const signed: ArgumentKind<number> = {
  read: (text, place) => {
    const negative = text.startsWith('-');
    const max = negative ? I32_MIN : I32_MIN - 1n;
    const expression = parseExpression(negative ? text.slice(1) : text, place);
    return sum(expression, place, max, (value) => (negative ? -Number(value) : Number(value)));
  },
};

/** Yes or no: 1 or 0. */
export const flag: ArgumentKind<boolean> = {
  read: (text, place) => constant(oneOf(['0', '1'], text, place) === '1'),
};

/** Words for access that have one: READ and WRITE. */
const ACCESS_WORDS: Readonly<Record<number, string>> = { 1: 'r', 2: 'w' };

/** Access that a device wants: letters of r (1) and w (2), or any signed number. */
export const access: ArgumentKind<number> = {
  write: (value) => (typeof value === 'number' ? ACCESS_WORDS[value] : undefined),
  read: (written, place) => {
    if (/^-?\d/.test(written)) return signed.read(written, place);
    if (!/^[rw]+$/.test(written)) {
      throw new InputError(place, 'letters of r and w, or a number', `'${written}'`);
    }
    return constant((written.includes('r') ? 1 : 0) | (written.includes('w') ? 2 : 0));
  },
};

/** A size of at least one byte. */
export const positiveBytes: ArgumentKind<bigint> = {
  read: (text, place) => {
    const value = bytes.read(text, place);
    const check = (result: bigint): bigint => {
      if (result > 0n) return result;
      throw new InputError(place, 'more than 0', `'${text}'`);
    };
    if (value.regions.length === 0) return constant(check(value.evaluate(NO_REGIONS)));
    return { ...value, evaluate: (regions) => check(value.evaluate(regions)) };
  },
};

/** A comma list of numbers. */
export const numbers: ArgumentKind<readonly number[]> = listOf(number);

/** A comma list of addresses. */
export const addresses: ArgumentKind<readonly bigint[]> = listOf(bytes);

function listOf<Value>(kind: ArgumentKind<Value>): ArgumentKind<readonly Value[]> {
  return {
    read: (text, place) => {
      const items = text.split(',').map((item) => kind.read(item, place));
      return {
        regions: items.flatMap(({ regions }) => regions),
        evaluate: (regions) => items.map((item) => item.evaluate(regions)),
      };
    },
  };
}

/** A comma list of frames, `PFN[xN][:ORDER]`: N pages, 1 unless told, of folios of an order. */
export const extents: ArgumentKind<readonly FrameExtent[]> = {
  read: (written, place) => constant(written.split(',').map((item) => readExtent(item, place))),
};

/** No frame has a larger number. */
const MAX_PFN = 2 ** 40;
/** Order of the largest folio: 1 GiB. */
const MAX_ORDER = 18;

function readExtent(item: string, place: string): FrameExtent {
  const [, pfn, npage = '1', order = '0'] =
    /^(0x[0-9a-f]+|[0-9]+)(?:x([0-9]{1,7}))?(?::([0-9]{1,2}))?$/i.exec(item) ?? [];
  const extent = { pfn: Number(pfn), npage: Number(npage), order: Number(order) };
  if (pfn !== undefined && extent.pfn + extent.npage <= MAX_PFN && extent.npage > 0) {
    if (extent.order <= MAX_ORDER) return extent;
  }
  throw new InputError(place, 'frames as PFN[xN][:ORDER], N of at most 9999999 pages', `'${item}'`);
}

/** Any text without spaces, at least one character. */
export const text: ArgumentKind<string> = {
  read: (written, place) => {
    if (written === '') throw new InputError(place, 'a text', 'nothing');
    return constant(written);
  },
};

/** The name of a new region. */
export const newRegion: ArgumentKind<string> = {
  namesNewRegion: true,
  read: (name, place) => {
    if (isRegionName(name)) return constant(name);
    throw new InputError(
      place,
      'a name of letters, digits and _ that begins with a letter',
      `'${name}'`,
    );
  },
};

/** The name of a region that is mapped. */
export const region: ArgumentKind<string> = {
  read: (name, place) => {
    newRegion.read(name, place);
    return { regions: [name], evaluate: () => name };
  },
};

/**
 * One word of several.
 *
 * @param words the words
 * @returns the kind
 */
export function word<Word extends string>(...words: readonly Word[]): ArgumentKind<Word> {
  return { read: (written, place) => constant(oneOf(words, written, place)) };
}

/**
 * A comma list of words, each at most once.
 *
 * @param words the words
 * @returns the kind
 */
export function wordList<Word extends string>(
  ...words: readonly Word[]
): ArgumentKind<readonly Word[]> {
  return {
    read: (written, place) => {
      const items = written.split(',').map((item) => oneOf(words, item, place));
      const twice = items.find((item, index) => items.indexOf(item) !== index);
      if (twice !== undefined) throw new InputError(place, 'each word once', `'${twice}' twice`);
      return constant(items);
    },
  };
}

/**
 * Flag bits: a comma list of words that stand for bits, or a number.
 *
 * @param words the words with their bits
 * @returns the kind
 */
export function flagBits(words: Readonly<Record<string, number>>): ArgumentKind<number> {
  const names = Object.keys(words);
  return {
    write: (value) => names.find((name) => words[name] === value),
    read: (written, place) => {
      if (/^[0-9-]/.test(written)) return number.read(written, place);
      const bits = written.split(',').map((item) => {
        if (Object.hasOwn(words, item)) return words[item] ?? 0;
        throw new InputError(place, `${names.join(', ')} or a number`, `'${item}'`);
      });
      return constant(bits.reduce((sum, bit) => sum | bit, 0));
    },
  };
}

/** Access rights: `none`, or letters of r, w and x, each at most once; `none` is the empty text. */
export const prot: ArgumentKind<string> = {
  read: (written, place) => {
    if (written === 'none') return constant('');
    if (/^[rwx]+$/.test(written) && new Set(written).size === written.length) {
      return constant(written);
    }
    throw new InputError(place, 'none, or letters of r, w and x', `'${written}'`);
  },
};

function oneOf<Word extends string>(words: readonly Word[], written: string, place: string): Word {
  const found = words.find((candidate) => candidate === written);
  if (found !== undefined) return found;
  throw new InputError(place, `one of ${words.join(', ')}`, `'${written}'`);
}
