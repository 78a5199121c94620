/** What the recorded kernels do wrong themselves: a check tells it, and does not count it. */

/** Pages that devices have pinned at addresses inside pages are charged again, up to 6.16. */
export const OVERCHARGE =
  'kernels up to 6.17 charge pages that are pinned at unaligned addresses again, for ever (recordings extpin y18, y29)';

/** A read of a dirty bitmap shifts it and clears too little of it. */
export const STALE_BITS =
  'every kernel shows dirty bits again that a read has shifted (recordings extpin d08, d15, d17)';

/** A pin at an address inside the last page of a mapping reaches into the mapping behind it. */
export const STRADDLING_PIN =
  'every kernel looks a page that lies in two mappings up in either of them, so that it may not be given back (no recording has it)';
