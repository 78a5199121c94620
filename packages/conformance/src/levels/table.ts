/** Level table: the IOMMU page table after the step. */
import type { IommuRun, IommuTable } from '@pinfold/scenario';
import { diff, MAX_DIFFERENCES, type Difference } from './differences.ts';
import type { ComparedStep, Level } from './level.ts';

/** The table that was compared last with a recorded one: most steps leave both as they are. */
const compared = new WeakMap<IommuTable, { model: IommuTable; differences: Difference[] }>();

function compare({ recorded, model }: ComparedStep): Difference[] {
  const first = recorded.table ? compareTable(recorded.table, model.table) : [];
  const further = [...recorded.tables].flatMap(([name, table]) =>
    compareTable(table, model.tables.get(name)).map((found) => ({
      ...found,
      path: found.path.replace('iommu', `iommu:${name}`),
    })),
  );
  return [...first, ...further].slice(0, MAX_DIFFERENCES);
}

function compareTable(kernel: IommuTable, model: IommuTable | undefined): Difference[] {
  if (!model) return [{ path: 'iommu', recorded: summaryOf(kernel), model: undefined }];
  const last = compared.get(kernel);
  if (last?.model === model) return last.differences;
  const differences = compareTables(kernel, model);
  compared.set(kernel, { model, differences });
  return differences;
}

/** What a table is without its runs, for messages. */
function summaryOf({ runs: _runs, ...summary }: IommuTable): unknown {
  return summary;
}

function compareTables(kernel: IommuTable, model: IommuTable): Difference[] {
  const fields = (['present', 'pt_pages', 'leaf', 'runs_total'] as const).flatMap((name) =>
    diff(`iommu.${name}`, kernel[name], model[name]),
  );
  return [...fields, ...compareRuns(kernel.runs, model.runs)];
}

/** Run by run in address order: a run that only one of them has does not shift the others. */
function compareRuns(kernel: readonly IommuRun[], model: readonly IommuRun[]): Difference[] {
  const differences: Difference[] = [];
  const byIova = new Map(model.map((run) => [run[0], run]));
  for (const run of kernel) {
    const other = byIova.get(run[0]);
    byIova.delete(run[0]);
    if (other?.every((value, index) => value === run[index])) continue;
    differences.push({ path: `iommu.runs[${run[0]}]`, recorded: run, model: other });
    if (differences.length === MAX_DIFFERENCES) return differences;
  }
  for (const run of byIova.values()) {
    differences.push({ path: `iommu.runs[${run[0]}]`, recorded: undefined, model: run });
    if (differences.length === MAX_DIFFERENCES) return differences;
  }
  return differences;
}

/** Level table. */
export const table: Level = {
  name: 'table',
  summary: 'table pages, leaves and runs of the IOMMU page table',
  needsLayout: true,
  applies: ({ table: recorded }) => recorded !== undefined,
  compare,
};
