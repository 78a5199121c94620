/**
 * What differs between kernels in the cost of an operation, where the counters of a release are
 * those of a neighbour.
 */

/** Bytes of a GiB. */
export const GIB_BYTES: number = 2 ** 30;

/** A kernel as the cost model sees it. */
export interface KernelEra {
  /** The modelled release whose counters stand for it. */
  readonly kernel: string;
  /** A THP takes one GUP step per 4 KiB page. */
  readonly thpStepsByPage: boolean;
  /** The longterm pass of GUP reads the `struct page` of every entry. */
  readonly longtermReadsPages: boolean;
}

/**
 * The era of a kernel.
 *
 * @param text a kernel as an author names it, such as `v6.16-rc4`
 * @returns its era; that of 6.16 when no version is stated
 * @source mm/gup.c: 57edfcfd3419 (6.6), a THP in one step; a03db236aebf (6.17), one read per folio in
 *   collect_longterm_unpinnable_folios
 */
export function kernelEra(text: string): KernelEra {
  const version = versionIn(text) ?? 6016;
  const after = version < 7002 ? '6.18' : version < 7003 ? '7.2' : '7.3';
  const kernel = version < 6016 ? '6.12' : version < 6018 ? '6.16' : after;
  return {
    kernel: version >= 6013 && version < 6016 ? '6.16' : kernel,
    thpStepsByPage: version < 6006,
    longtermReadsPages: version < 6017,
  };
}

/**
 * The version that a text names, the last of several.
 *
 * @param text such as `v6.16-rc4`
 * @returns 1000 times the major number and the minor one, 6016; null when it names none
 */
export function versionIn(text: string): number | null {
  const versions = [...text.matchAll(/(\d+)\.(\d+)/g)].map(([, a, b]) => +a * 1000 + +b);
  return versions.at(-1) ?? null;
}
