/**
 * What of iommufd differs between kernel releases. Code asks the table of a release, never for a
 * version.
 */

/** The iommufd part of a kernel release. */
export interface IommufdRules {
  /** Release series the table describes, for example `7.2`. */
  readonly series: string;
  /** Whether IOMMU_IOAS_MAP_FILE is known. */
  readonly mapFile: boolean;
  /** Whether IOMMU_IOAS_MAP_FILE takes dma-bufs of vfio-pci. */
  readonly dmabuf: boolean;
  /** Whether IOMMU_IOAS_CHANGE_PROCESS is known. */
  readonly changeProcess: boolean;
  /** Kernel source, reference section or recordings of the facts above. */
  readonly source: string;
}

/** A call or an ability, since when there is it, and who says so. */
interface Since {
  readonly since: string;
  readonly source: string;
}

/** When iommufd and its parts came. */
const SINCE = {
  iommufd: { since: '6.2', source: 'iommufd: since 6.2, nobody has verified it here' },
  mapFile: {
    since: '6.13',
    source:
      'IOAS_MAP_FILE: not in 6.12, in 7.2 (recording f01); since 6.13, not verified; reference iommufd.md §9',
  },
  dmabuf: {
    since: '6.19',
    source:
      'dma-buf: posted at the end of 2025, in 7.2 (recording p02); since 6.19, not verified; reference iommufd.md §9',
  },
  changeProcess: {
    since: '7.2',
    source:
      'IOAS_CHANGE_PROCESS: in 7.2 (recording r03); it may be older, not verified; reference iommufd.md §16',
  },
} as const satisfies Readonly<Record<string, Since>>;

/**
 * The rules of a release.
 *
 * @param series for example `6.18`
 * @returns its rules; null for a release without iommufd
 */
export function iommufdRules(series: string): IommufdRules | null {
  const has = ({ since }: Since): boolean => seriesNumber(series) >= seriesNumber(since);
  const { iommufd, mapFile, dmabuf, changeProcess } = SINCE;
  if (!has(iommufd)) return null;
  return {
    series,
    mapFile: has(mapFile),
    dmabuf: has(dmabuf),
    changeProcess: has(changeProcess),
    source: Object.values(SINCE)
      .map(({ source }) => source)
      .join('; '),
  };
}

/** A number that grows with the series. */
function seriesNumber(series: string): number {
  const [major = 0, minor = 0] = series.split('.').map(Number);
  return major * 1000 + minor;
}

/** The rules of 7.2, which recordings show. */
export const IOMMUFD_RULES_7_2: IommufdRules = {
  series: '7.2',
  mapFile: true,
  dmabuf: true,
  changeProcess: true,
  source: 'recordings 7.2-iofd; reference iommufd.md §9',
};
