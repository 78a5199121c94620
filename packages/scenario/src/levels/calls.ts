/** Level calls: how often the step called each kernel function. */
import type { Difference } from '../differences.ts';
import type { Recording } from '../recording.ts';
import type { ComparedStep, Exclusion, Level } from './level.ts';

/** Functions that are probed and not compared. */
const NOT_COMPARED: Readonly<Record<string, string>> = {
  qi_flush_iotlb: 'called at attach and detach only',
};

/** Why a function is not compared on the kernel of a recording; undefined if it is. */
function reasonAgainst(name: string, { guest }: Recording): string | undefined {
  if (Object.hasOwn(NOT_COMPARED, name)) return NOT_COMPARED[name];
  return guest.probes[name] ? undefined : 'no probe: not in this kernel, or inlined';
}

function compare({ recording, recorded, model }: ComparedStep): Difference[] {
  const kernel = recorded.shown.calls ?? {};
  const counted = model.shown.calls ?? {};
  const names = new Set([...Object.keys(kernel), ...Object.keys(counted)]);
  return [...names]
    .filter((name) => (kernel[name] ?? 0) !== (counted[name] ?? 0))
    .filter((name) => reasonAgainst(name, recording) === undefined)
    .map((name) => ({
      path: `calls.${name}`,
      recorded: kernel[name] ?? 0,
      model: counted[name] ?? 0,
    }));
}

function exclusions(recording: Recording): Exclusion[] {
  return Object.keys(recording.guest.probes)
    .filter((name) => !name.endsWith('_ret'))
    .flatMap((name) => {
      const reason = reasonAgainst(name, recording);
      return reason === undefined ? [] : [{ name, reason }];
    });
}

/** Level calls. */
export const calls: Level = {
  name: 'calls',
  summary: 'calls per kernel function',
  needsLayout: true,
  applies: ({ shown }) => shown.calls !== undefined,
  compare,
  exclusions,
};
