/** Level calls: how often the step called each kernel function. */
import type { Difference } from './differences.ts';
import type { ComparedStep, Level } from './level.ts';
import { notCompared, reasonAgainst, withoutOwnMemory } from './probes.ts';

function compare({ recording, recorded, model }: ComparedStep): Difference[] {
  const { follows } = withoutOwnMemory(recorded.shown.trace ?? []);
  const { calls: all = {} } = recorded.shown;
  const kernel: Readonly<Record<string, number>> =
    follows === 0 ? all : withoutFollows(all, follows);
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

/** Takes calls off those of the function that looks pfn mappings up. */
function withoutFollows(
  calls: Readonly<Record<string, number>>,
  follows: number,
): Record<string, number> {
  const name = 'follow_pte' in calls ? 'follow_pte' : 'follow_pfnmap_start';
  return { ...calls, [name]: (calls[name] ?? 0) - follows };
}

/** Level calls. */
export const calls: Level = {
  name: 'calls',
  summary: 'calls per kernel function',
  needsLayout: true,
  needsTrace: true,
  applies: ({ shown }) => shown.calls !== undefined,
  compare,
  exclusions: notCompared,
};
