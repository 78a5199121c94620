/** Registry of the operations on the container, its groups and devices: one line each. */
export { addgroup } from './addgroup.ts';
export { close } from './close.ts';
export { closedev } from './closedev.ts';
export { delgroup } from './delgroup.ts';
export { device } from './device.ts';
export { open } from './open.ts';
export { opencontainer } from './opencontainer.ts';
export { pcicmd } from './pcicmd.ts';
export { setiommu } from './setiommu.ts';
