/**
 * The description of a machine, as opposed to what a kernel does with it: architecture, memory,
 * IOMMUs, devices, limits and settings at boot. It is data; everything is made from it.
 *
 * @source recordings README, "The guest"
 */
import { ARM64_4K, X86_64, type PageGeometry, type Pfn } from '@pinfold/base';
import { iommuKind, type IommuFacts, type IommuUnit, type ResvRegion } from '@pinfold/iommu';
import { thpDefaults, type MemoryModel, type MemoryRange, type ThpSettings } from '@pinfold/mm';
import { DEFAULT_MODULE_PARAMS, type ModuleParams } from '@pinfold/vfio-type1';

/** A BAR of a device. */
export interface BarDescription {
  /** Number of the BAR. */
  readonly bar: number;
  /** First page frame of its bus address. */
  readonly pfn: Pfn;
  /** Length in pages. */
  readonly npage: number;
}

/** A device behind an IOMMU. */
export interface DeviceDescription {
  /** Name of its IOMMU. */
  readonly iommu: string;
  /** Its memory BARs. */
  readonly bars: readonly BarDescription[];
  /** Its group; default: one of its own, of its name. */
  readonly group?: string;
  /** Whether its group is one of the no-IOMMU mode; default false. */
  readonly noIommu?: boolean;
}

/** An IOMMU as a machine has it: its kind, with the facts that the kind knows. */
export interface IommuDescription extends IommuFacts {
  /** Its kind; see `iommuKinds`. */
  readonly kind: string;
  /** Identifier of the domain that the first of its devices has at boot; the others follow. */
  readonly firstDeviceDomain?: number;
  /** Reserved regions of its devices besides those of the kind; default: none. */
  readonly resvRegions?: readonly ResvRegion[];
}

/** What a machine is made of. */
export interface MachineDescription {
  /** Page size and page-table geometry: the architecture. */
  readonly geometry: PageGeometry;
  /** Physical memory. */
  readonly memory: readonly MemoryRange[];
  /** MemTotal in pages: what the kernel has not taken for itself at boot; default: all memory. */
  readonly totalRam?: number;
  /** How the kernel finds a `struct page`; default: in one virtual array. */
  readonly memoryModel?: MemoryModel;
  /** The IOMMUs, by the names that devices have for them. */
  readonly iommus: Readonly<Record<string, IommuDescription>>;
  /** The devices behind an IOMMU, by their aliases. */
  readonly devices: Readonly<Record<string, DeviceDescription>>;
  /** Devices that drivers of the host have, by the name of their group; default: none. */
  readonly hostDriven?: Readonly<Record<string, readonly string[]>>;
  /** Frame of the shared zero page. */
  readonly zeroPfn: Pfn;
  /** First frame of the huge zero page. */
  readonly hugeZeroPfn: Pfn;
  /** Transparent huge pages as set at boot. */
  readonly thp: ThpSettings;
  /** Parameters of vfio_iommu_type1 as set at boot. */
  readonly params: ModuleParams;
  /** Pages in the hugetlb pools, by the order of a page. */
  readonly hugepages: Readonly<Record<number, number>>;
  /** RLIMIT_MEMLOCK of the process in bytes; Infinity is unlimited. */
  readonly memlock: number;
  /** Who answers for /dev/vfio/vfio; default: type1. */
  readonly container?: 'type1' | 'iommufd';
  /** Whether the program opens a device when its group has joined; default: no. */
  readonly opensDevices?: boolean;
  /** Whether the process has CAP_IPC_LOCK and CAP_SYS_RAWIO, as root has; default true. */
  readonly privileged?: boolean;
  /** Whether nobody has said how much memory there is, so that too little of it is no kernel's answer. */
  readonly memoryIsAssumed?: boolean;
  /** Whether the process can reap but the child that it forked last; default: all. */
  readonly remembersOneChild?: boolean;
}

/** Name of the IOMMU of a guest. */
export const GUEST_IOMMU = 'iommu';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** Where the PCI hole of a q35 begins when memory is that large, and the memory above it. */
const [HOLE, ABOVE_HOLE] = [0xb000_0000, 4 * GIB];
/** Where the firmware puts the registers of `edu`. */
const EDU_BAR = 0xfeb0_0000;

const INTEL_VTD = 'intel-vtd';
const AMD = 'amd';
const ARM_SMMU_V3 = 'smmuv3';
/** Where the memory of `virt` begins. */
const VIRT_MEMORY = GIB;

/**
 * The architecture of a guest.
 *
 * @param kind kind of its IOMMU, which says what machine it is
 * @returns page size and page-table geometry
 */
export function guestGeometry(kind: string): PageGeometry {
  return kind === ARM_SMMU_V3 ? ARM64_4K : X86_64;
}

/**
 * What the guests of the recordings have taken of the identifiers of domains when a program starts.
 *
 * @source recordings README-amd and README-arm (`iommu.did`; the flushes of `addgroup`)
 */
const BOOT_DOMAINS: Readonly<Record<string, Omit<IommuDescription, 'kind'>>> = {
  [AMD]: { bootDomains: 8, firstDeviceDomain: 3 },
  [ARM_SMMU_V3]: { bootDomains: 6, firstDeviceDomain: 2 },
};

/**
 * The IOMMU of a guest.
 *
 * @param kind its kind
 * @param npCache AMD: whether absent entries are cached; default false, as real ones
 * @returns its facts
 */
export function guestIommu(kind: string, npCache = false): IommuDescription {
  return { kind, ...(npCache && { npCache }), ...BOOT_DOMAINS[kind] };
}

/**
 * Memory of a q35 guest: up to 2 GiB below the PCI hole, the rest from 4 GiB on. A guest of less
 * than 2.75 GiB has it all below. That of Arm's `virt` is in one piece, from 1 GiB on.
 *
 * @param bytes size of the memory
 * @param iommu kind of its IOMMU, which says what machine it is; default: VT-d
 * @returns its ranges in pages
 * @source QEMU hw/i386/pc_q35.c pc_q35_init, hw/arm/virt.c base_memmap
 */
export function guestMemory(bytes: number, iommu: string = INTEL_VTD): MemoryRange[] {
  const { pageSize } = guestGeometry(iommu);
  const range = (start: number, length: number): MemoryRange => ({
    pfn: start / pageSize,
    npage: Math.floor(length / pageSize),
  });
  if (iommu === ARM_SMMU_V3) return [range(VIRT_MEMORY, bytes)];
  if (bytes < HOLE) return [range(0, bytes)];
  return [range(0, 2 * GIB), range(ABOVE_HOLE, bytes - 2 * GIB)];
}

/**
 * The devices of a guest: the firmware puts 64-bit BARs above all memory, the largest first.
 *
 * @param memory its memory
 * @param geometry its page size; default: that of x86-64
 * @returns the devices by their aliases
 */
export function guestDevices(
  memory: readonly MemoryRange[],
  { pageSize }: PageGeometry = X86_64,
): Record<string, DeviceDescription> {
  const end = Math.max(ABOVE_HOLE, ...memory.map(({ pfn, npage }) => (pfn + npage) * pageSize));
  const above = Math.ceil(end / GIB) * GIB;
  const device = (bar: number, start: number, length: number): DeviceDescription => ({
    iommu: GUEST_IOMMU,
    bars: [{ bar, pfn: start / pageSize, npage: length / pageSize }],
  });
  return {
    edu: device(0, EDU_BAR, MIB),
    ivsh16: device(2, above + GIB, 16 * MIB),
    ivsh1g: device(2, above, GIB),
  };
}

/** The guest of the recordings: 7 GiB, a 48-bit VT-d, `edu` and two `ivshmem` devices. */
export const DEFAULT_MACHINE: MachineDescription = {
  geometry: X86_64,
  memory: guestMemory(7 * GIB),
  iommus: { [GUEST_IOMMU]: { ...guestIommu(INTEL_VTD), addressWidth: 48 } },
  devices: guestDevices(guestMemory(7 * GIB)),
  zeroPfn: 1,
  hugeZeroPfn: X86_64.tableEntries,
  thp: thpDefaults(X86_64),
  params: DEFAULT_MODULE_PARAMS,
  hugepages: { [X86_64.pmdOrder]: 700, [X86_64.pudOrder]: 1 },
  memlock: 8 * 2 ** 20,
};

/**
 * The IOMMUs of a machine.
 *
 * @param iommus their descriptions by name
 * @returns the facts of each in full, by name
 * @throws {InputError} when there is no such kind, or a fact is none that it can have
 */
export function unitsOf(
  iommus: Readonly<Record<string, IommuDescription>>,
): ReadonlyMap<string, IommuUnit> {
  return new Map(
    Object.entries(iommus).map(([name, { kind, resvRegions = [], ...facts }]) => {
      const unit = iommuKind(kind).unit(facts);
      return [name, { ...unit, resvRegions: [...unit.resvRegions, ...resvRegions] }];
    }),
  );
}
