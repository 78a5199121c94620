/** The steps of `pinfold run --json`: those of recordings, where lists are long what has changed of them. */
import { ShownTable, type GuestStep, type StepCalls } from '@pinfold/guest';
import { ShownLayouts, type ChangedExtents, type Observation } from '@pinfold/scenario';
import { recordedCalls } from './run-calls.ts';

/** Runs or extents that a step lists as a whole. */
const MAX_WHOLE = 256;

/**
 * A step as `--json` shows it.
 *
 * @param done the step
 * @param calls its calls, if they are wanted
 * @returns its fields; of a table or a layout of more than 256 runs or extents, `iommu.changed` and
 *   `layout_changed` say what has changed since the step that showed it last
 */
export function stepJson(
  { step, observation }: Pick<GuestStep, 'step' | 'observation'>,
  calls: StepCalls | undefined,
): Record<string, unknown> {
  const { op, layout, iommu, ...shown } = observation;
  // In the order in which the fields of a step come.
  const fields = Object.keys(observation).flatMap((name): [string, unknown][] => {
    if (name === 'op')
      return [
        ['op', op],
        ['line', step.text],
      ];
    if (name === 'layout' && layout) return layoutFields(layout);
    if (name === 'iommu' && iommu) return [[name, tableFields(iommu)]];
    return [[name, shown[name as keyof typeof shown]]];
  });
  return { ...Object.fromEntries(fields), ...recordedCalls(calls) };
}

function tableFields(table: NonNullable<Observation['iommu']>): unknown {
  const changed = table.runs_total > MAX_WHOLE ? ShownTable.changed(table) : undefined;
  if (!changed) return table;
  const { present, pt_pages, leaf, runs_total } = table;
  return { present, pt_pages, leaf, runs_total, changed };
}

function layoutFields(layout: NonNullable<Observation['layout']>): [string, unknown][] {
  const whole: [string, unknown][] = [];
  const parts: [string, ChangedExtents][] = [];
  for (const name of Object.keys(layout)) {
    const isLong = ShownLayouts.count(layout, name) > MAX_WHOLE;
    const changed = isLong ? ShownLayouts.changed(layout, name) : undefined;
    if (changed) parts.push([name, changed]);
    else whole.push([name, layout[name]]);
  }
  return [
    ...(whole.length > 0 ? [['layout', Object.fromEntries(whole)] as [string, unknown]] : []),
    ...(parts.length > 0
      ? [['layout_changed', Object.fromEntries(parts)] as [string, unknown]]
      : []),
  ];
}
