/** The registry of operations: one line each. */
export { dropcap } from './dropcap.ts';
export { fork } from './fork.ts';
export { madvise } from './madvise.ts';
export { memlock } from './memlock.ts';
export { mlock } from './mlock.ts';
export { mprotect } from './mprotect.ts';
export { mremap } from './mremap.ts';
export { munlock } from './munlock.ts';
export { munmap } from './munmap.ts';
export { reap } from './reap.ts';
export { sysfs } from './sysfs.ts';
