/** What the page and the worker that records say to each other. */
import type { Target } from './beside.ts';
import type { Overview } from './recording.ts';
import type { Settings } from './settings.ts';
import type { StepLog } from './steps.ts';

/** Questions by name, and what answers each. */
export interface Questions {
  overview: {
    ask: { settings: Settings; algorithm: string; from: number; length: number };
    answer: Overview;
  };
  window: { ask: { from: number; length: number }; answer: StepLog };
  find: { ask: { fn: number; from: number; forward: boolean }; answer: number };
  locate: { ask: { target: Target }; answer: number };
}

/** Name of a question. */
export type Question = keyof Questions;

/** A question with the number that its answer carries. */
export type Ask = {
  [Q in Question]: { id: number; question: Q } & Questions[Q]['ask'];
}[Question];

/** An answer, or how far the way to it has come, or why there is none. */
export type Answer =
  | { id: number; answer: Questions[Question]['answer'] }
  | { id: number; steps: number }
  | { id: number; error: string };
