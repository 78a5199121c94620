/** Predicted kernel time beside the rows of a report. */
import type { CounterValues } from '@pinfold/base';
import { ops, type Op } from '../measure.ts';
import { MemDmaMap, type MemDmaMapOptions } from '../workloads/mem-dma-map.ts';
import { predictWith, type Profile } from './calibration.ts';
import { unitsOf, type CostFacts } from './classes.ts';
import { kernelEra } from './eras.ts';
import { extrapolatedCounters } from './extrapolate.ts';
import type { PredictedSeconds } from './fit.ts';

/** Kernel time as a profile predicts it: of a fresh pass, as the published unit test makes. */
export interface RowPrediction extends PredictedSeconds {
  /** Name of the profile. */
  readonly profile: string;
}

/**
 * Predicts the two calls of a mapping.
 *
 * @param options what is mapped, and on which kernel
 * @param profile the costs
 * @returns a prediction for each call
 */
export function rowPredictions(
  options: MemDmaMapOptions,
  profile: Profile,
): Readonly<Record<Op, RowPrediction>> {
  const runs = new Map<number, Record<Op, CounterValues>>();
  const { bytes: size, iommu, backing } = options;
  const of = (op: Op): RowPrediction => {
    const counters = extrapolatedCounters({
      ...{ bytes: size, order: backing.order, iommu },
      run: (bytes, iovaOffset) => {
        const run = runs.get(bytes) ?? freshPass({ ...options, bytes, iovaOffset });
        runs.set(bytes, run);
        return run[op];
      },
    });
    const predicted = predictWith(profile, unitsOf(counters, factsOf(options)));
    return { ...predicted, profile: profile.name };
  };
  return { map: of('map'), unmap: of('unmap') };
}

/** The counters of the first pass after the memory was populated. */
function freshPass(options: MemDmaMapOptions): Record<Op, CounterValues> {
  const machine = new MemDmaMap(options);
  const [map, unmap] = ops.map((op) => {
    const before = machine.counters.snapshot();
    machine[op]();
    return machine.counters.since(before);
  });
  return { map, unmap };
}

function factsOf({ kernel, backing }: MemDmaMapOptions): CostFacts {
  const era = kernelEra(`v${kernel.series}`);
  return {
    memory: backing.kind === 'hugetlb' ? 'hugetlb' : 'anon',
    writeNotify: false,
    thpStepsByPage: era.thpStepsByPage,
    longtermReadsPages: era.longtermReadsPages,
    ...{ hvo: false, pagesCleared: 0, starts: 0 },
  };
}
