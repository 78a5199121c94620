/** Where the algorithms on the page stand at a step of the first one, and getting their steps here. */
import { targetOf } from './beside.ts';
import type { Pace } from './settings.ts';
import type { Side } from './side.ts';
import type { Step } from './steps.ts';

/** The places of one algorithm, or of two. */
export class Places {
  readonly #sides: readonly Side[];
  readonly #pace: Pace;
  /** Number of the step at which the second one was seen last. */
  #second = 0;
  /** Where the second one was at a step of the first, as the worker has found out. */
  #located = { step: -1, place: -1 };
  #isFetching = false;

  /**
   * @param sides the algorithms, with their overviews
   * @param pace how the second one follows
   */
  constructor(sides: readonly Side[], pace: Pace) {
    this.#sides = sides;
    this.#pace = pace;
  }

  /**
   * Numbers of the steps to show.
   *
   * @param step number of the first one's step
   * @returns one per algorithm; where the second one's is not known yet, its last one
   */
  at(step: number): readonly number[] {
    const [, second] = this.#sides;
    if (!second) return [step];
    this.#second = this.#placeHere(step) ?? this.#second;
    return [step, this.#second];
  }

  /**
   * Whether all of it is here and known.
   *
   * @param step number of the first one's step
   * @returns false if it has to be {@link fetch}ed
   */
  isHere(step: number): boolean {
    const [first, second] = this.#sides;
    if (!first.isHere(step)) return false;
    if (!second) return true;
    const place = this.#placeHere(step);
    return place !== null && second.isHere(place);
  }

  /**
   * Gets a step of all of them, and what was asked for meanwhile.
   *
   * @param wanted gives the number of the step that is wanted now
   * @returns false if that is under way already
   */
  async fetch(wanted: () => number): Promise<boolean> {
    if (this.#isFetching) return false;
    this.#isFetching = true;
    for (let step = -1; step !== wanted();) {
      step = wanted();
      await this.#load(step);
    }
    this.#isFetching = false;
    return true;
  }

  async #load(step: number): Promise<void> {
    const [first, second] = this.#sides;
    await first.load(step);
    const here = first.step(step);
    if (!second || !here) return;
    const place =
      this.#pace === 'step'
        ? this.#sameStep(second, step)
        : await second.locate(this.#target(here));
    await second.load(place);
    this.#located = { step, place };
  }

  /** The second one's place, if what is here tells. */
  #placeHere(step: number): number | null {
    const [first, second] = this.#sides;
    if (this.#pace === 'step') return this.#sameStep(second, step);
    if (this.#located.step === step) return this.#located.place;
    const here = first.step(step);
    return here && second.locateHere(this.#target(here));
  }

  #sameStep(second: Side, step: number): number {
    return Math.min(step, second.lastStep);
  }

  #target({ row }: Step): ReturnType<typeof targetOf> {
    return targetOf(row, this.#sides[0].overview?.shape.npage ?? 0);
  }
}
