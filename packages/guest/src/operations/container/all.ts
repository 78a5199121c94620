/** Registry of the operations on the container, its groups and devices: one line each. */
export { addgroup } from './addgroup.ts';
export { close } from './close.ts';
export { closecontainer } from './closecontainer.ts';
export { closedev } from './closedev.ts';
export { closegroup } from './closegroup.ts';
export { container } from './container.ts';
export { delgroup } from './delgroup.ts';
export { device } from './device.ts';
export { extension } from './extension.ts';
export { groupstatus } from './groupstatus.ts';
export { open } from './open.ts';
export { opencontainer } from './opencontainer.ts';
export { opengroup } from './opengroup.ts';
export { pcicmd } from './pcicmd.ts';
export { setcontainer } from './setcontainer.ts';
export { setiommu } from './setiommu.ts';
