/** The state after each step of a recording, with what a step does not show carried over. */
import { StateTracker, type IommuTable, type StepState } from '@pinfold/scenario';
import { withWholeFolios } from './recorded-layout.ts';
import type { RecordedPass, RecordedStep } from './recording.ts';

/** What the names of the tables of further devices begin with. */
const TABLE = 'iommu:';

/**
 * The state after each step of a recorded pass.
 *
 * @param pass the pass
 * @returns one state per recorded step, in order
 */
export function walkPass(pass: RecordedPass): StepState<RecordedStep>[] {
  const tracker = new StateTracker();
  return pass.steps.map((step) => tracker.after(withTables(withWholeFolios(step))));
}

/** The tables of further devices, `iommu:<alias>`, in one field. */
function withTables(step: RecordedStep): RecordedStep {
  const found = Object.entries(step).filter(([name]) => name.startsWith(TABLE));
  if (found.length === 0) return step;
  const tables = found.map(([name, table]) => [name.slice(TABLE.length), table as IommuTable]);
  return { ...step, tables: Object.fromEntries(tables) as Record<string, IommuTable> };
}
