/** What the page "Estimate" asks its worker for, and what it gets back. */
import type { Note } from '@pinfold/bench';

/** A guest and its host as the form has them: texts, which the worker reads. */
export interface EstimateRequest {
  /** Memory, such as `64G`. */
  readonly memory: string;
  /** Name of the backing. */
  readonly backing: string;
  /** How it is populated: `no`, `yes`, or a number of threads. */
  readonly populated: string;
  /** Containers into which it is mapped. */
  readonly containers: string;
  /** Sizes of device memory, with commas; empty: none. */
  readonly bars: string;
  /** Release series. */
  readonly kernel: string;
  /** Another one beside it; empty: none. */
  readonly beside: string;
  /** RLIMIT_MEMLOCK; empty: unlimited. */
  readonly memlock: string;
  /** Name of the profile. */
  readonly profile: string;
  /** Lines of run lengths and counts; empty: one run. */
  readonly layout: string;
}

/** Names of the fields, in the order of the form. */
export const FIELDS: readonly (keyof EstimateRequest)[] = [
  'memory',
  'backing',
  'populated',
  'containers',
  'bars',
  'kernel',
  'beside',
  'memlock',
  'profile',
  'layout',
];

/** The times of a kernel, as texts with their intervals. */
export interface ShownTimes {
  readonly kernel: string;
  readonly populate: string;
  readonly map: string;
  readonly unmap: string;
  readonly start: string;
}

/** What a time is made of. */
export interface ShownParts {
  /** Kernel and call. */
  readonly of: string;
  readonly seconds: number;
  readonly parts: readonly {
    readonly part: string;
    readonly seconds: number;
    readonly text: string;
  }[];
}

/** What is estimated. */
export interface EstimateResult {
  readonly times: readonly ShownTimes[];
  readonly parts: readonly ShownParts[];
  readonly notes: readonly Note[];
  readonly advice: readonly string[];
  /** What the profile is. */
  readonly about: string;
}
