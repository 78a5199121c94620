/** The registry of kinds of IOMMUs: one line per kind. */
export { amdKind } from './amd.ts';
export { armSmmuV3Kind } from './arm-smmu-v3.ts';
export { intelVtdKind } from './intel-vtd.ts';
