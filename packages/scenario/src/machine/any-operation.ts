/** What a step of any scenario asks a machine for. */

/** An operation: the name of its op, and its arguments evaluated. */
export interface AnyOperation {
  /** Its op. */
  readonly op: string;
}
