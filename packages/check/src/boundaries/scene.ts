/** What boundary cases are made of: memory at prescribed frames, and what is done with it. */
import { byteAddress, type IovaPn, type Pfn, type Vpn } from '@pinfold/base';
import type { MmapKind, MmapOperation, Operation } from '@pinfold/guest';
import type { MachineLine, FrameExtent } from '@pinfold/scenario';

/** Virtual pages that are worth mapping. */
export interface Area {
  /** First virtual page. */
  readonly vpn: Vpn;
  /** Length in pages. */
  readonly npage: number;
  /** Pages, counted from the first, at which something begins or ends. */
  readonly edges: readonly number[];
}

/** The devices that are open at first: one behind the IOMMU, an emulated one, or both. */
export type FirstDevices = 'pci' | 'emulated' | 'both';

/** Memory of a process on a machine. */
export interface Scene {
  /** What the machine has to have besides {@link CHECK_MACHINE}. */
  readonly machine?: MachineLine;
  /** Which devices are open; default: one behind the IOMMU. */
  readonly devices?: FirstDevices;
  /** What is done before the container is opened. */
  readonly first?: readonly Operation[];
  /** What is done before memory is mapped into the process. */
  readonly before?: readonly Operation[];
  /** The mmaps, and what is done to the memory. */
  readonly memory: readonly Operation[];
  /** What is worth mapping. */
  readonly areas: readonly Area[];
  /** I/O virtual pages at which mappings are worth trying, besides those of every scene. */
  readonly iovas?: readonly IovaPn[];
}

/** Where a scene puts its memory, so that several can be on one machine. */
export interface Slot {
  /** Distinguishes the names of regions. */
  readonly index: number;
  /** First virtual page, with a free GiB behind. */
  readonly vpn: Vpn;
  /** First page frame, with {@link SLOT_FRAMES} behind. */
  readonly pfn: Pfn;
}

/** Page frames of a slot: 32 MiB. */
const SLOT_FRAMES = 8192;
/** Pages of a huge page. */
export const HUGE = 512;
/** Order of a huge page. */
export const HUGE_ORDER = 9;
/** First frame of slot 0: section 1. */
const FIRST_PFN = 32768;
/** First virtual page of slot 0: 256 GiB; a GiB for each. */
const FIRST_VPN = 0x4000000;
const GIB = 0x40000;

/** The machine of every scene: three sections, a hole of one, a section. */
export const CHECK_MACHINE: MachineLine = {
  memory: [
    { pfn: 0, npage: 0x18000 },
    { pfn: 0x20000, npage: 0x8000 },
  ],
  hugepages: 8,
};

/** End of the memory below the hole. */
export const HOLE_PFN = 0x18000;

/**
 * A slot.
 *
 * @param index its number, 0 to 3
 * @returns the slot
 */
export function slotAt(index: number): Slot {
  return { index, vpn: FIRST_VPN + index * GIB, pfn: FIRST_PFN + index * SLOT_FRAMES };
}

/**
 * An mmap of memory that is there at once.
 *
 * @param name name of the region
 * @param kind kind of memory
 * @param vpn first virtual page
 * @param frames its frames
 * @param more other arguments
 * @returns the operation
 */
export function placed(
  name: string,
  kind: MmapKind,
  vpn: Vpn,
  frames: readonly FrameExtent[],
  more: Partial<MmapOperation> = {},
): MmapOperation {
  const npage = frames.reduce((sum, extent) => sum + extent.npage, 0);
  const place = { size: byteAddress(npage), addr: byteAddress(vpn) };
  return { op: 'mmap', name, kind, ...place, prot: 'rw', flags: [], frames, ...more };
}

/**
 * Frames of one order.
 *
 * @param pfn first frame
 * @param npage pages
 * @param order order of their folios; default 0
 * @returns the frames
 */
export function frames(pfn: Pfn, npage: number, order = 0): FrameExtent {
  return { pfn, npage, order };
}
