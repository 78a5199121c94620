/** Registry of the operations on the memory of the process: one line each. */
export { madvise } from './madvise.ts';
export { mlock } from './mlock.ts';
export { mmap } from './mmap.ts';
export { mprotect } from './mprotect.ts';
export { mremap } from './mremap.ts';
export { munlock } from './munlock.ts';
export { munmap } from './munmap.ts';
export { peek } from './peek.ts';
export { poke } from './poke.ts';
export { touch } from './touch.ts';
