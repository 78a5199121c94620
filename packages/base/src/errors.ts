/**
 * The ways in which something can go wrong, kept apart: the kernel refuses (KernelError), the
 * modelled kernel itself would crash, corrupt memory or never return (KernelBug), what the user wrote
 * is wrong (InputError; of code UserCodeFault), and the model is wrong (ModelBug).
 */
import { errnoName } from './errno.ts';

/** What a failing check saw: names and values, for messages and for `explain`. */
export type ErrorDetail = Readonly<Record<string, string | number | boolean | bigint>>;

/** An ioctl failed, with the errno that the real kernel gives. */
export class KernelError extends Error {
  override readonly name = 'KernelError';
  /** Positive errno number. */
  readonly errno: number;
  /** Symbolic errno, `ENOMEM`. */
  readonly code: string;
  /** The operation that the user called, in its UAPI spelling (`VFIO_IOMMU_MAP_DMA`). */
  readonly op: string;
  /** The kernel function whose check failed. */
  readonly at: string;
  /** The values that the check saw. */
  readonly detail: ErrorDetail;

  /**
   * @param op operation in its UAPI spelling
   * @param errno positive or negative errno number
   * @param at kernel function that gave the errno
   * @param detail values that the check saw
   */
  constructor(op: string, errno: number, at: string, detail: ErrorDetail = {}) {
    const values = Object.entries(detail).map(([key, value]) => `${key}=${String(value)}`);
    super(`${op}: ${errnoName(errno)} at ${at}${values.length > 0 ? `: ${values.join(' ')}` : ''}`);
    this.errno = Math.abs(errno);
    this.code = errnoName(errno);
    this.op = op;
    this.at = at;
    this.detail = detail;
  }
}

/**
 * The modelled kernel would oops, hit a BUG or corrupt state here: a finding about an algorithm or
 * a release, not a fault of the model. Nothing is rolled back, as nothing is after an oops.
 */
export class KernelBug extends Error {
  override readonly name: string = 'KernelBug';
  /** The kernel function in which it happens. */
  readonly at: string;

  /**
   * @param at kernel function
   * @param what what it would do there
   */
  constructor(at: string, what: string) {
    super(`${at}: ${what}`);
    this.at = at;
  }
}

/**
 * The modelled kernel would never return from here: it comes back to the state in which it began,
 * with the locks of the call held. Only a signal that kills the process ends it.
 */
export class KernelHang extends KernelBug {
  override readonly name = 'KernelHang';
}

/** Characters of what was found that a message shows at most. */
const MAX_SHOWN = 1000;
/** Characters that are left out to make room for the length. */
const SHOWN_TAIL = 30;

/** A fault in what a user wrote: names the place, what was expected and what was found. */
export class InputError extends Error {
  override readonly name = 'InputError';
  /** Flag, file and line, or path in a document. */
  readonly place: string;
  /** What is accepted there. */
  readonly expected: string;
  /** What was found; a long text is cut. */
  readonly got: string;

  /**
   * @param place flag, file and line, or path in a document
   * @param expected what is accepted there
   * @param got what was found, as text
   * @param options the same fault as it was before it was known where it is
   */
  constructor(place: string, expected: string, got: string, options?: { readonly cause: unknown }) {
    const found = cut(got);
    super(`${place}: expected ${expected}, got ${found}`, options);
    this.place = place;
    this.expected = expected;
    this.got = found;
  }

  /**
   * The same fault, for a caller who knows where its place lies.
   *
   * @param outer the file and line, or the like, that the place is part of
   * @returns this if its place names the outer one already, else a fault that names both
   */
  within(outer: string): InputError {
    if (this.place === outer || this.place.startsWith(`${outer}:`)) return this;
    return new InputError(`${outer}: ${this.place}`, this.expected, this.got, { cause: this });
  }
}

/** A text as a message shows it: of one that is too long, the beginning and the length. */
function cut(text: string): string {
  if (text.length <= MAX_SHOWN) return text;
  return `${text.slice(0, MAX_SHOWN - SHOWN_TAIL)}... (${text.length} characters)`;
}

/**
 * Code that a user has brought along, such as a pin algorithm, does what it must not: a fault of
 * that code, not of the model.
 */
export class UserCodeFault extends Error {
  override readonly name: string = 'UserCodeFault';
}

/** An invariant of the model itself is broken. Never caught by the model. */
export class ModelBug extends Error {
  override readonly name = 'ModelBug';
}
