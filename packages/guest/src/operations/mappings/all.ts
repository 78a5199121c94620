/** Registry of the operations on mappings for DMA: one line each. */
export { dirty } from './dirty.ts';
export { info } from './info.ts';
export { map } from './map.ts';
export { unmap } from './unmap.ts';
