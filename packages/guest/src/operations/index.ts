/** The operations that are a file of their own, by the names of their ops. */
import * as all from './all.ts';
import type { GuestOp } from './guest-op.ts';

type All = typeof all;
type OperationOf<Each> = Each extends GuestOp<infer O> ? O : never;

/** One of these operations. */
export type GuestOperation = OperationOf<All[keyof All]>;

/** All of them. */
export const guestOps: ReadonlyMap<string, GuestOp<GuestOperation>> = new Map(
  Object.values(all).map((each) => [each.op, each]),
);
