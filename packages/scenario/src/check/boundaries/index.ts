/** The registry of boundary classes: one line per class. */
import type { BoundaryClass } from './boundary.ts';
import { twoVmas } from './two-vmas.ts';

/** All of them, in the order in which they are tried. */
export const boundaryClasses: readonly BoundaryClass[] = [twoVmas];
