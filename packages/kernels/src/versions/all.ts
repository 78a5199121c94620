/** The registry of kernel releases: one line per release series. */
export { v6_1 } from './v6-1.ts';
export { v6_12 } from './v6-12.ts';
export { v6_16 } from './v6-16.ts';
export { v6_18 } from './v6-18.ts';
export { v7_2 } from './v7-2.ts';
export { v7_3 } from './v7-3.ts';
