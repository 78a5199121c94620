/**
 * Kernel releases: which rules of memory management, IOMMU and VFIO type1 each has, by the name of
 * the release.
 */
export { changesIn, type Change } from './changes.ts';
export { kernelVersion, kernelVersions } from './kernel-versions.ts';
export type { KernelVersion } from './kernel-version.ts';
export { standInFor, standInText, type StandIn } from './stand-in.ts';
