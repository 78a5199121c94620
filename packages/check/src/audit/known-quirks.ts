/** What the recorded kernels do wrong themselves: a check tells it, and does not count it. */

/** Pages that devices have pinned at addresses inside pages are charged again, up to 6.17. */
export const OVERCHARGE =
  'kernels up to 6.17 charge pages that are pinned at unaligned addresses again, for ever (recordings extpin y18, y29)';

/** A read of a dirty bitmap shifts it and clears too little of it. */
export const STALE_BITS =
  'every kernel shows dirty bits again that a read has shifted (recordings extpin d08, d15, d17)';

/** A pin at an address inside the last page of a mapping reaches into the mapping behind it. */
export const STRADDLING_PIN =
  'every kernel looks a page that lies in two mappings up in either of them, so that it may not be given back (no recording has it)';

/** The address of such a pin lies below the mapping whose page it has: no look-up finds it there. */
export const PIN_BELOW =
  'every kernel charges a page again whose pin begins below its mapping (no recording has it)';

/** A pin that begins below its mapping has no bit in the mapping's bitmap: the number wraps. */
export const BIT_BELOW =
  'every kernel writes far behind the dirty bitmap of a mapping for a pin that begins below it (no recording has it)';

/**
 * An attach that fails puts its pages again. Of a pin inside a page, that takes the charge back which
 * only exact look-ups have made: batched has made it, what pins as 6.18 does has not.
 */
export const LOST_CHARGE =
  'kernels up to 6.17 take the charge of a pin at an unaligned address back when an attach fails, whether or not the attach has charged it (no recording has it)';

/**
 * When the last domain goes, each pin of a device is charged in place of the mapping's pages. At
 * unaligned addresses there can be more pins than pages; what the limit does not allow of that is not
 * charged, which nobody looks at, and is taken back when the pins go.
 */
export const LIMIT_IGNORED =
  'every kernel takes the charge of pins at unaligned addresses back that RLIMIT_MEMLOCK did not let it make when the last domain went (no recording has it)';

/**
 * An algorithm that says so of itself tests the limit for a whole mapping before it pins any of it;
 * the loop of type1 meets what comes first in the mapping.
 */
export const LIMIT_FIRST =
  'an algorithm that charges before it pins refuses with ENOMEM where type1 meets memory that cannot be pinned first, and refuses with EFAULT (page-list; no kernel has it)';

/** Whatever pins there: the fault of the pin never ends. */
export const NEVER_RETURNS =
  'every kernel since 6.12 never returns from a read-only pin of a private mapping of the huge page of a file (recordings more-hang)';

const UNRECORDED: ReadonlySet<string> = new Set([
  ...[STRADDLING_PIN, PIN_BELOW, BIT_BELOW, LOST_CHARGE, LIMIT_IGNORED, LIMIT_FIRST],
]);

/**
 * Where what is known comes from.
 *
 * @param known the rule
 * @returns in words: recorded kernels, modelled kernels, or the algorithm itself
 */
export function knownFrom(known: string): string {
  if (known === LIMIT_FIRST) return 'so by design of the algorithm';
  return isRecorded(known) ? 'also in the recorded kernels' : 'also in the modelled kernels';
}

/**
 * Whether recordings show that kernels do wrong themselves what a check has found.
 *
 * @param known the rule by which they do
 * @returns false where only the model says so
 */
export function isRecorded(known: string): boolean {
  return !UNRECORDED.has(known);
}
