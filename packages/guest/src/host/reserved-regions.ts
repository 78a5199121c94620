/**
 * The text of `/sys/kernel/iommu_groups/N/reserved_regions`, and the addresses that type1 leaves usable.
 *
 * @source drivers/iommu/iommu.c iommu_group_show_resv_regions, 6.16
 */
import { byteAddress, InputError, pageNumber } from '@pinfold/base';
import type { ReservedRange } from '@pinfold/scenario';

/** Kinds of regions that no mapping may touch; those of `direct` are mapped by the kernel one to one. */
const TAKEN: ReadonlySet<string> = new Set(['msi', 'reserved', 'direct']);
const LINE =
  /^(0x[\da-f]{1,16})\s+(0x[\da-f]{1,16})\s+(direct|direct-relaxable|reserved|msi|sw-msi)$/i;
/** Largest address of a guest, in bits, where nothing is known of the IOMMU. */
const ALL_BITS = 64;

/** What the file of a group says. */
export interface ReservedRegions {
  /** What type1 takes out of the usable addresses. */
  readonly ranges: readonly ReservedRange[];
  /** Lines of something else, which were passed over: a shell prompt, an empty line. */
  readonly foreign: number;
}

/**
 * Reads the text of a reserved_regions file.
 *
 * @param text its lines; others, such as the command that printed them, are counted
 * @param place where it stands, for messages
 * @returns the regions that type1 takes out
 * @throws {InputError} when a line that begins as a region does is none, or there is no region at all
 */
export function reservedRegions(text: string, place: string): ReservedRegions {
  const ranges: ReservedRange[] = [];
  let foreign = 0;
  let found = 0;
  text.split(/\r?\n/).forEach((raw, index) => {
    const line = raw.trim();
    const [, from, to, kind] = LINE.exec(line) ?? [];
    if (from === undefined || to === undefined || kind === undefined) {
      if (line.startsWith('0x')) {
        const expected = 'FIRST LAST TYPE, as in /sys/kernel/iommu_groups/N/reserved_regions';
        throw new InputError(`${place}:${index + 1}`, expected, `'${line}'`);
      }
      if (line !== '') foreign++;
      return;
    }
    found++;
    if (!TAKEN.has(kind.toLowerCase())) return;
    ranges.push({ start: pageNumber(BigInt(from)), last: pageNumber(BigInt(to)) });
  });
  if (found > 0) return { ranges, foreign };
  throw new InputError(place, 'regions as FIRST LAST TYPE', 'none');
}

/**
 * The addresses that type1 leaves to a guest: the aperture without what is reserved.
 *
 * @param ranges what is reserved
 * @param bits address width of the IOMMU; default: what 64 bits reach
 * @returns first and last byte of each usable range, in order
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_iova_exclude, 6.16
 */
export function usableRanges(
  ranges: readonly ReservedRange[],
  bits: number = ALL_BITS,
): { readonly first: bigint; readonly last: bigint }[] {
  const usable: { first: bigint; last: bigint }[] = [];
  const end = 2n ** BigInt(bits) - 1n;
  let first = 0n;
  for (const { start, last } of [...ranges].sort((a, b) => a.start - b.start)) {
    const from = byteAddress(start);
    if (from > first) usable.push({ first, last: from - 1n < end ? from - 1n : end });
    const after = byteAddress(last + 1);
    if (after > first) first = after;
    if (first > end) return usable;
  }
  usable.push({ first, last: end });
  return usable;
}
