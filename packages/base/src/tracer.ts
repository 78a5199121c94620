/**
 * The tracer: an observer of a machine's calls, as ftrace is one of a kernel's.
 *
 * A hook reads {@link Counters.tracer} into a local at function entry and tests it once per call of
 * the function, so that a tracer that is absent costs nothing measurable. Where one loop of the
 * model stands for many calls of the kernel, it hands them over as one event, or makes the calls one
 * by one when a tracer is present. Events come in the kernel's order.
 */
import type { TracedFunction } from './traced-functions.ts';

/** Sees the calls of the functions in {@link TRACED_FUNCTIONS}, with their units. */
export interface Tracer {
  /**
   * Whether it also sees the calls that are made for every folio and inside the IOMMU driver's page
   * table; default: no.
   */
  readonly details?: boolean;

  /**
   * A function is entered. Until its {@link exit}, what is entered is called by it.
   *
   * @param fn the function
   * @param a first argument, in the unit of the table
   * @param b second argument
   * @param c third argument
   * @param d fourth argument
   * @param e fifth argument
   * @param f sixth argument
   */
  enter(
    fn: TracedFunction,
    a?: number,
    b?: number,
    c?: number,
    d?: number,
    e?: number,
    f?: number,
  ): void;

  /**
   * The function entered last returns. A call that ends in a KernelBug has no exit.
   *
   * @param fn the function
   * @param ret what it returns, in the unit of the table; 0 if it returns nothing
   */
  exit(fn: TracedFunction, ret?: number): void;

  /**
   * Calls of one function in a row, none of which calls another traced function.
   *
   * @param fn a function with one argument
   * @param n number of calls, at least 1
   * @param a argument of the first call
   * @param step by how much the argument grows from call to call; 0 if it stays
   * @param ret what the first call returns
   * @param retStep by how much that grows from call to call
   */
  repeat(
    fn: TracedFunction,
    n: number,
    a: number,
    step: number,
    ret: number,
    retStep: number,
  ): void;
}
