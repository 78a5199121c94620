/** Random numbers that are a function of a seed, for everything in the model that has to vary. */

/**
 * A generator of random numbers (Mulberry32).
 *
 * @param seed any number
 * @returns a function that gives numbers from 0 to below 1
 */
export function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Puts a list into a random order.
 *
 * @param list the list, changed in place
 * @param random numbers from 0 to below 1
 */
export function shuffle(list: unknown[], random: () => number): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j], list[i]];
  }
}
