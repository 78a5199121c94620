/** Keeping rows of steps while a machine runs: all of a window, or a sample of all. */
import { ROW, type StepLog } from './steps.ts';

/** Steps that a sample has at most. */
const MAX_SAMPLES = 2048;

/** Keeps the steps of a window. */
export class WindowLog {
  readonly #from: number;
  readonly #end: number;
  readonly #indices: Float64Array;
  readonly #rows: Float64Array;
  #kept = 0;

  constructor(from: number, length: number) {
    this.#from = from;
    this.#end = from + length;
    this.#indices = new Float64Array(length);
    this.#rows = new Float64Array(length * ROW);
  }

  wants(index: number): boolean {
    return index >= this.#from && index < this.#end;
  }

  add(index: number, row: Float64Array): void {
    this.#indices[this.#kept] = index;
    this.#rows.set(row, this.#kept * ROW);
    this.#kept++;
  }

  log(): StepLog {
    return firstOf(this.#indices, this.#rows, this.#kept);
  }
}

/** The first rows of a log, in buffers that are no larger. */
function firstOf(indices: Float64Array, rows: Float64Array, kept: number): StepLog {
  if (kept === indices.length) return { indices, rows };
  return { indices: indices.slice(0, kept), rows: rows.slice(0, kept * ROW) };
}

/** Keeps every n-th step, n doubling whenever there are too many. */
export class Sampler {
  readonly #indices = new Float64Array(MAX_SAMPLES);
  readonly #rows = new Float64Array(MAX_SAMPLES * ROW);
  #kept = 0;
  #every = 1;

  wants(index: number): boolean {
    return index % this.#every === 0;
  }

  add(index: number, row: Float64Array): void {
    if (this.#kept === MAX_SAMPLES) this.#thin();
    if (!this.wants(index)) return;
    this.#indices[this.#kept] = index;
    this.#rows.set(row, this.#kept * ROW);
    this.#kept++;
  }

  log(): StepLog {
    return firstOf(this.#indices, this.#rows, this.#kept);
  }

  #thin(): void {
    this.#every *= 2;
    this.#kept /= 2;
    for (let i = 1; i < this.#kept; i++) {
      this.#indices[i] = this.#indices[2 * i];
      this.#rows.copyWithin(i * ROW, 2 * i * ROW, (2 * i + 1) * ROW);
    }
  }
}
