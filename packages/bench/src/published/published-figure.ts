/** What a published measurement of the unit test `vfio-pci-mem-dma-map` is. */
import type { Op } from '../measure.ts';

/** Where figures come from. */
export interface PublishedSource {
  /** Subject of the mail. */
  readonly title: string;
  /** Its author, who measured. */
  readonly author: string;
  /** Its date, as `2025-06-30`. */
  readonly date: string;
  /** Its Message-ID on the kvm and linux-kernel lists. */
  readonly messageId: string;
}

/** Seconds that a real kernel took, as an author has published them. */
export interface PublishedFigure {
  /** Release series to compare it with. */
  readonly series: string;
  /** Backing that it is to be compared with. */
  readonly backing: string;
  /** The operation. */
  readonly op: Op;
  /** Seconds, mean of ten rounds. */
  readonly seconds: number;
  /** Kernel that was measured. */
  readonly kernel: string;
  /** Size of the mapping in bytes. */
  readonly bytes: number;
  /** The memory, in the author's words. */
  readonly memory: string;
  /** Page size of the memory in bytes, or null if the author does not state it. */
  readonly pageBytes: number | null;
  /** The host, as far as it is stated. */
  readonly host: string;
  /** What a comparison has to keep in mind; empty if nothing. */
  readonly caveat: string;
  /** Where it comes from. */
  readonly source: PublishedSource;
}
