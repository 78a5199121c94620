/**
 * What the probes of a recording cannot show, or show at steps that say nothing: the levels that
 * compare calls leave it out alike.
 *
 * @source recordings README, "What could not be observed"
 */
import type { Recording } from '../recording.ts';
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
  return guest.probes[name] ? undefined : 'no probe: not in this kernel, or inlined';
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
