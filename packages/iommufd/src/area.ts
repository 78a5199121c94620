/**
 * iopt_area: one mapping, a slice of pages at a range of I/O virtual addresses.
 *
 * @source drivers/iommu/iommufd/io_pagetable.h struct iopt_area, 7.2; reference iommufd.md §1
 */
import { PAGE_SIZE, pageNumber, type IovaPn } from '@pinfold/base';
import type { IommuDomain } from '@pinfold/iommu';
import type { IoPagetable } from './io-pagetable.ts';
import type { IoptPages, PagesNode } from './pages.ts';

/** A mapping. */
export class IoptArea {
  /** The I/O address space. */
  readonly iopt: IoPagetable;
  /** First byte of its I/O virtual addresses. */
  readonly start: bigint;
  /** Last byte, inclusive. */
  readonly last: bigint;
  /** The slice of the pages that it maps. */
  readonly pagesNode: PagesNode;
  /** Offset of its first byte in the first page. */
  readonly pageOffset: number;
  /** Access bits of the IOMMU. */
  readonly iommuProt: number;
  /** The pages; null while it is being made or removed. */
  pages: IoptPages | null = null;
  /** The domain that stores the frames of its pages; null without one. */
  storageDomain: IommuDomain | null = null;
  /** Accesses to it. */
  numAccesses = 0;
  /** Holders that keep it from being unmapped. */
  numLocks = 0;
  /** Whether no access may begin: it is being unmapped. */
  preventAccess = false;

  /**
   * @param iopt the I/O address space
   * @param start first byte of its I/O virtual addresses
   * @param length length in bytes
   * @param startByte first byte in the pages
   * @param iommuProt access bits of the IOMMU
   */
  constructor(
    iopt: IoPagetable,
    start: bigint,
    length: bigint,
    startByte: bigint,
    iommuProt: number,
  ) {
    this.iopt = iopt;
    this.start = start;
    this.last = start + length - 1n;
    this.pageOffset = Number(startByte % BigInt(PAGE_SIZE));
    this.iommuProt = iommuProt;
    this.pagesNode = {
      start: pageNumber(startByte),
      last: pageNumber(startByte + length - 1n),
      area: this,
    };
  }

  /** First page index. */
  get index(): number {
    return this.pagesNode.start;
  }

  /** Last page index, inclusive. */
  get lastIndex(): number {
    return this.pagesNode.last;
  }

  /** First byte in the pages. */
  get startByte(): bigint {
    return BigInt(this.pagesNode.start) * BigInt(PAGE_SIZE) + BigInt(this.pageOffset);
  }

  /** Length in bytes. */
  get length(): bigint {
    return this.last - this.start + 1n;
  }

  /**
   * Where a page is mapped. Only aligned areas are mapped by domains.
   *
   * @param index page index in the slice
   * @returns its I/O virtual page
   * @source drivers/iommu/iommufd/pages.c iopt_area_index_to_iova, 7.2
   */
  iovaPnOf(index: number): IovaPn {
    return pageNumber(this.start) + (index - this.pagesNode.start);
  }

  /**
   * The page that an address lies in.
   *
   * @param iova an address of the area
   * @returns page index
   * @source drivers/iommu/iommufd/io_pagetable.h iopt_area_iova_to_index, 7.2
   */
  indexOf(iova: bigint): number {
    return this.pagesNode.start + pageNumber(iova - this.start + BigInt(this.pageOffset));
  }
}
