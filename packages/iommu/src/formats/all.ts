/** The registry of page-table formats: one line per format. */
export { amdV1 } from './amd-v1.ts';
export { armLpaeS1, armLpaeS1InvList } from './arm-lpae.ts';
export { genericPtAmdV1 } from './generic-pt-amd-v1.ts';
export { genericPtVtdSs } from './generic-pt-vtd-ss.ts';
export { vtdSecondLevel510 } from './vtd-second-level-5-10.ts';
export { vtdSecondLevel, vtdSecondLevel612 } from './vtd-second-level.ts';
