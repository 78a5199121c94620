/** What an audit of the model finds. */

/** An invariant that does not hold. */
export interface Violation {
  /** Which one: a few words, the same for every case of it. */
  readonly invariant: string;
  /** What was found instead. */
  readonly what: string;
}

/** Cases of one audit that are told; more say nothing new. */
const MAX_VIOLATIONS = 20;

/** What one audit has found, in the order in which it looked. */
export class Violations {
  readonly #list: Violation[] = [];

  /** The first of them. */
  get list(): readonly Violation[] {
    return this.#list;
  }

  /**
   * Takes note of an invariant that does not hold.
   *
   * @param invariant which one
   * @param what what was found instead
   */
  add(invariant: string, what: string): void {
    if (this.#list.length < MAX_VIOLATIONS) this.#list.push({ invariant, what });
  }
}
