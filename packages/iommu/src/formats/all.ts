/** The registry of page-table formats: one line per format. */
export { genericPtVtdSs } from './generic-pt-vtd-ss.ts';
export { vtdSecondLevel, vtdSecondLevel612 } from './vtd-second-level.ts';
