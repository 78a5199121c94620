/**
 * What the probes of a recording cannot show, or show at steps that say nothing: the levels that
 * compare calls leave it out alike.
 *
 * @source recordings README, "What could not be observed"
 */
import { TRACED_FUNCTIONS } from '@pinfold/base';
import { countedFunctions, MORE_LINES } from '@pinfold/guest';
import type { Recording } from '../recording/recording.ts';
import type { Exclusion } from './level.ts';

/** Functions that are probed and not compared. */
const NOT_COMPARED: Readonly<Record<string, string>> = {
  qi_flush_iotlb: 'called at attach and detach only',
};

/**
 * Why a function is not compared on the kernel of a recording.
 *
 * @param name the function
 * @param recording the recording
 * @returns the reason; undefined if it is compared
 */
export function reasonAgainst(name: string, { guest }: Recording): string | undefined {
  if (Object.hasOwn(NOT_COMPARED, name)) return NOT_COMPARED[name];
  if (!guest.probes[name]) return 'no probe: not in this kernel, or inlined';
  const traced = Object.hasOwn(TRACED_FUNCTIONS, name) || countedFunctions.has(name);
  return traced ? undefined : 'the model does not trace it';
}

/** Where the kernel puts what a program has not placed itself, such as its vdso and vvar pages. */
const OWN_MEMORY = 0x7000_0000_0000;
/** The functions that look pfn mappings up, by release. */
const FOLLOW = /^(?:follow_pfnmap_start|follow_pte) addr=(\S+)/;
const FOLLOW_RETURN = /^(?:follow_pfnmap_start|follow_pte)_ret /;

/**
 * Leaves out what the kernel does with the program's own pages: where fork looks pure pfn mappings up
 * (6.12), those are the vvar pages of the child that an operation with `from=child` forks.
 *
 * @param trace the calls of a step
 * @returns the lines that are left, and how many calls of these functions are not
 */
export function withoutOwnMemory(trace: readonly string[]): {
  readonly lines: readonly string[];
  readonly follows: number;
} {
  let own = false;
  let follows = 0;
  const lines = trace.filter((line) => {
    if (own && FOLLOW_RETURN.test(line)) return (own = false);
    own = Number(FOLLOW.exec(line)?.[1] ?? 0) >= OWN_MEMORY;
    if (own) follows++;
    return !own;
  });
  // The child's end comes last, where lines may be left out.
  const cut = trace.at(-1) === MORE_LINES;
  return { lines, follows: cut ? 2 * follows : follows };
}

/**
 * The functions that are not compared on the kernel of a recording.
 *
 * @param recording the recording
 * @returns each with its reason
 */
export function notCompared(recording: Recording): Exclusion[] {
  return Object.keys(recording.guest.probes)
    .filter((name) => !name.endsWith('_ret'))
    .flatMap((name) => {
      const reason = reasonAgainst(name, recording);
      return reason === undefined ? [] : [{ name, reason }];
    });
}
