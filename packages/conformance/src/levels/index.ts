/** The registry of levels: one line each. */
import { calls } from './calls.ts';
import type { Level } from './level.ts';
import { state } from './state.ts';
import { table } from './table.ts';
import { trace } from './trace.ts';

/** All levels, in the order in which a fault shows first. */
export const levels: readonly Level[] = [state, table, calls, trace];
