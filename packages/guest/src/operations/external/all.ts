/** Registry of the operations on emulated devices, which pin the pages that they use themselves: one line each. */
export { addext } from './addext.ts';
export { delext } from './delext.ts';
export { dmarw } from './dmarw.ts';
export { extmode } from './extmode.ts';
export { pin } from './pin.ts';
export { pinlist } from './pinlist.ts';
export { unpin } from './unpin.ts';
export { unpinlist } from './unpinlist.ts';
export { unset } from './unset.ts';
