/** Playing: how many steps to go on, and when. */

/** Frames a second, at most. */
const FRAMES = 30;
/** Frames a second for someone who wants no motion. */
const CALM_FRAMES = 2;
/** How long everything takes at the speed that stands for it, in seconds. */
const WHOLE_SECONDS = 20;

/** Steps, and the time until the next ones. */
export interface Pace {
  /** Steps to go on at once. */
  readonly stride: number;
  /** Milliseconds between. */
  readonly every: number;
}

/**
 * How to play at a speed.
 *
 * @param perSecond steps a second; 0 for all of them in some twenty seconds
 * @param steps number of all steps
 * @param isCalm whether fewer, larger changes are wanted
 * @returns steps at once, and the time between
 */
export function paceOf(perSecond: number, steps: number, isCalm: boolean): Pace {
  const rate = perSecond > 0 ? perSecond : Math.max(1, steps / WHOLE_SECONDS);
  const frames = Math.min(rate, isCalm ? CALM_FRAMES : FRAMES);
  return { stride: Math.max(1, Math.round(rate / frames)), every: 1000 / frames };
}
