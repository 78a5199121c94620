/** Predicted time of one call whose counters are at hand, wherever they come from. */
import type { CounterValues } from '@pinfold/base';
import { predictWith, type Profile } from './calibration.ts';
import { unitsOf, type CostFacts } from './classes.ts';
import { kernelEra } from './eras.ts';
import type { PredictedSeconds } from './fit.ts';

/** A call. */
export interface CountedCall {
  /** What it counted. */
  readonly counters: CounterValues;
  /** What the memory is. */
  readonly memory: CostFacts['memory'];
  /** Name of the kernel. */
  readonly kernel: string;
}

/**
 * Predicts the time of a call from its counters. Shared memory whose pages the pin faults without
 * clearing any was mapped by reading only (write-notify).
 *
 * @param of the profile
 * @param call the call
 * @returns seconds with their 90 % interval
 */
export function predictCall(of: Profile, call: CountedCall): PredictedSeconds {
  const { counters, memory, kernel } = call;
  const { thpStepsByPage, longtermReadsPages } = kernelEra(kernel);
  const writeNotify = memory === 'shmem' && counters.pageFaults > 0 && counters.pagesZeroed === 0;
  const facts = { memory, writeNotify, thpStepsByPage, longtermReadsPages, hvo: false, starts: 0 };
  return predictWith(of, unitsOf(counters, { ...facts, pagesCleared: counters.pagesZeroed }));
}
