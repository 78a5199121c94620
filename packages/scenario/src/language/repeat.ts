/**
 * `repeat=N`: a line that stands for N steps. In its values, `8K*i` is a number times the number of the
 * step among them, from 0. The steps are those of N plain lines, and the recorder's program gets those.
 */
import { InputError } from '@pinfold/base';

/** Where a step stands among those of its line. */
export interface Repeated {
  /** Its number among them, from 0. */
  readonly i: number;
  /** The line as written. */
  readonly text: string;
}

/** Steps that the `repeat=` of a scenario make at most, all together. */
export const MAX_REPEATED: number = 2 ** 17;

const REPEAT = /^repeat=(.*)$/;
/** `8K*i`, the number written as any other. */
const TIMES_I = /(?<![\w.])(0x[0-9a-fA-F]+|\d+)([PKMGT]?)\*i(?!\w)/g;

/** A line, as the steps that it stands for. */
export interface Lines {
  /** How many they are. */
  readonly count: number;
  /**
   * One of them.
   *
   * @param i its number, from 0
   * @returns its words
   */
  readonly words: (i: number) => readonly string[];
  /** Where the step stands among them; undefined without a `repeat=`. */
  readonly repeated: (i: number) => Repeated | undefined;
}

/** Reads the `repeat=` of lines, and counts the steps that they make. */
export class Repeats {
  #left = MAX_REPEATED;

  /**
   * Reads a line.
   *
   * @param op its op
   * @param words the words after the op
   * @param place file and line, for messages
   * @returns the steps that it stands for: one without `repeat=`
   * @throws {InputError} when the number is none from 1 on, comes twice, or is too large for a scenario
   */
  read(op: string, words: readonly string[], place: string): Lines {
    const [written, second] = words.flatMap((word) => REPEAT.exec(word)?.[1] ?? []);
    if (written === undefined) return { count: 1, words: () => words, repeated: () => undefined };
    if (second !== undefined)
      throw new InputError(place, 'repeat= once', `a second 'repeat=${second}'`);
    const count = /^\d{1,9}$/.test(written) ? Number(written) : NaN;
    if (!(count >= 1 && count <= this.#left)) {
      const rest = this.#left < MAX_REPEATED ? `, ${this.#left} of them left` : '';
      const most = `from 1 to ${MAX_REPEATED}, which is for all lines together${rest}`;
      throw new InputError(`${place}: repeat`, `a number of steps ${most}`, `'${written}'`);
    }
    this.#left -= count;
    const text = [op, ...words].join(' ');
    const once = words.filter((word) => !REPEAT.test(word));
    return {
      count,
      words: (i) => once.map((word) => plainWord(word, i)),
      repeated: (i) => ({ i, text }),
    };
  }
}

/** A word of a step: `iova=1G+8K*i` is `iova=1G+24K` for the step 3. */
function plainWord(word: string, i: number): string {
  const value = word.indexOf('=') + 1;
  const plain = word
    .slice(value)
    .replace(TIMES_I, (_, digits: string, unit: string) => `${product(digits, i)}${unit}`);
  return word.slice(0, value) + plain;
}

function product(digits: string, i: number): string {
  const value = BigInt(digits) * BigInt(i);
  return digits.startsWith('0x') ? `0x${value.toString(16)}` : String(value);
}
