/** Random steps of a whole machine: ioctls, devices that pin pages, groups that come and go. */
import fc from 'fast-check';
import { step, type Step } from './ioctls.ts';

/** Numbers that choose something when a step is done. */
const choice = fc.nat({ max: 1000 });

const pinStep = fc.record({
  op: fc.constant('pin'),
  which: choice,
  from: choice,
  npage: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 40 })),
  prot: fc.constantFrom(0, 1, 1, 2, 3),
});
const unpinStep = fc.record({ op: fc.constant('unpin'), which: choice });
const groupStep = fc.record({ op: fc.constant('group'), which: fc.nat({ max: 3 }) });
const dirtyStep = fc.record({
  op: fc.constant('dirty'),
  what: fc.constantFrom('start', 'stop', 'get', 'get'),
  which: choice,
});
/** The next map fails when it comes to one of its pages. */
const failStep = fc.record({ op: fc.constant('fail'), from: choice });

/** A step to be. */
export type EveryStep =
  | Step
  | { readonly op: 'pin'; which: number; from: number; npage: number; prot: number }
  | { readonly op: 'unpin'; which: number }
  | { readonly op: 'group'; which: number }
  | { readonly op: 'dirty'; what: string; which: number }
  | { readonly op: 'fail'; from: number };

/** Random steps. */
export const everyStep: fc.Arbitrary<EveryStep> = fc.oneof(
  { weight: 14, arbitrary: step },
  { weight: 7, arbitrary: pinStep },
  { weight: 2, arbitrary: unpinStep },
  { weight: 4, arbitrary: groupStep },
  { weight: 2, arbitrary: dirtyStep },
  { weight: 2, arbitrary: failStep },
);
