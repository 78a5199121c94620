/** Registry of the operations on the process, its limits and settings: one line each. */
export { dropcap } from './dropcap.ts';
export { fail } from './fail.ts';
export { fork } from './fork.ts';
export { memlock } from './memlock.ts';
export { reap } from './reap.ts';
export { sysfs } from './sysfs.ts';
