/**
 * What of iommufd differs between kernel releases. One table per release; code asks the table, never
 * for a version.
 */

/** The iommufd part of a kernel release. */
export interface IommufdRules {
  /** Release series the table describes, for example `7.2`. */
  readonly series: string;
  /** Whether IOMMU_IOAS_MAP_FILE is known: not in 6.12; since 6.13, which nobody has verified. */
  readonly mapFile: boolean;
  /** Whether it takes dma-bufs of vfio-pci: in 7.2; since 6.19, which nobody has verified. */
  readonly dmabuf: boolean;
  /** Whether IOMMU_IOAS_CHANGE_PROCESS is known: in 7.2; since when is not verified. */
  readonly changeProcess: boolean;
  /** Kernel source, reference section or recordings of the facts above. */
  readonly source: string;
}

/** The rules of 7.2, which recordings show. */
export const IOMMUFD_RULES_7_2: IommufdRules = {
  series: '7.2',
  mapFile: true,
  dmabuf: true,
  changeProcess: true,
  source: 'recordings 7.2-iofd; reference iommufd.md §9',
};
