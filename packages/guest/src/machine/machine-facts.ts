/**
 * The facts of a machine, as opposed to what a kernel does with it: memory, IOMMU, devices, limits
 * and settings at boot.
 *
 * @source recordings README, "The guest"
 */
import { X86_64, type Pfn } from '@pinfold/base';
import { iommuKind, type ResvRegion } from '@pinfold/iommu';
import { thpDefaults, type MemoryModel, type MemoryRange, type ThpSettings } from '@pinfold/mm';
import type { MachineLine } from '@pinfold/scenario';
import { DEFAULT_MODULE_PARAMS, type ModuleParams } from '@pinfold/vfio-type1';

/** A BAR of a device. */
export interface BarFacts {
  /** Number of the BAR. */
  readonly bar: number;
  /** First page frame of its bus address. */
  readonly pfn: Pfn;
  /** Length in pages. */
  readonly npage: number;
}

/** An IOMMU as a machine has it. */
export interface IommuKindFacts {
  /** Its kind; see `iommuKinds`. */
  readonly kind: string;
  /** AMD: whether absent entries are cached. */
  readonly npCache?: boolean;
  /** Identifiers of domains that are taken at boot. */
  readonly bootDomains?: number;
  /** Identifier of the domain that the first device of the guest has at boot; the others follow. */
  readonly firstDeviceDomain?: number;
}

/** Pages in the hugetlb pools. */
export interface HugepageCounts {
  /** Pages of 2 MiB. */
  readonly '2M': number;
  /** Pages of 1 GiB. */
  readonly '1G': number;
}

/** What a scenario's machine has. */
export interface MachineFacts {
  /** Physical memory. */
  readonly memory: readonly MemoryRange[];
  /** MemTotal in pages: what the kernel has not taken for itself at boot; default: all memory. */
  readonly totalRam?: number;
  /** How the kernel finds a `struct page`; default: in one virtual array. */
  readonly memoryModel?: MemoryModel;
  /** The IOMMU. */
  readonly iommu: IommuKindFacts;
  /** Input address width of the IOMMU in bits, where its kind has more than one. */
  readonly awBits: number;
  /** Reserved regions of the devices' groups besides those of the IOMMU; default: none. */
  readonly resvRegions?: readonly ResvRegion[];
  /** BARs of each device by its alias; every device is alone in its group. */
  readonly devices: Readonly<Record<string, readonly BarFacts[]>>;
  /** Frame of the shared zero page. */
  readonly zeroPfn: Pfn;
  /** First frame of the huge zero page. */
  readonly hugeZeroPfn: Pfn;
  /** Transparent huge pages as set at boot. */
  readonly thp: ThpSettings;
  /** Parameters of vfio_iommu_type1 as set at boot. */
  readonly params: ModuleParams;
  /** Pages in the hugetlb pools. */
  readonly hugepages: HugepageCounts;
  /** RLIMIT_MEMLOCK of the process in bytes; Infinity is unlimited. */
  readonly memlock: number;
}

const MIB = 2 ** 8;
const GIB = 2 ** 18;

const INTEL_VTD = 'intel-vtd';
const AMD = 'amd';
const ARM_SMMU_V3 = 'smmuv3';
/** Where the memory of `virt` begins. */
const VIRT_MEMORY = GIB;

/**
 * What the guests of the recordings have taken of the identifiers of domains when a program starts.
 *
 * @source recordings README-amd and README-arm (`iommu.did`; the flushes of `addgroup`)
 */
const BOOT_DOMAINS: Readonly<Record<string, Omit<IommuKindFacts, 'kind'>>> = {
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
export function guestIommu(kind: string, npCache = false): IommuKindFacts {
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
  if (iommu === ARM_SMMU_V3) return [{ pfn: VIRT_MEMORY, npage: Math.floor(bytes / 4096) }];
  const npage = Math.floor(bytes / 4096);
  const low = npage >= 0xb0000 ? 2 * GIB : npage;
  const ranges = [{ pfn: 0, npage: Math.min(npage, low) }];
  return npage > low ? [...ranges, { pfn: 4 * GIB, npage: npage - low }] : ranges;
}

/**
 * The devices of a guest: the firmware puts 64-bit BARs above all memory, the largest first.
 *
 * @param memory its memory
 * @returns the BARs of each device
 */
export function guestDevices(memory: readonly MemoryRange[]): Record<string, readonly BarFacts[]> {
  const end = Math.max(4 * GIB, ...memory.map(({ pfn, npage }) => pfn + npage));
  const above = Math.ceil(end / GIB) * GIB;
  return {
    edu: [{ bar: 0, pfn: 0xfeb00, npage: MIB }],
    ivsh16: [{ bar: 2, pfn: above + GIB, npage: 16 * MIB }],
    ivsh1g: [{ bar: 2, pfn: above, npage: GIB }],
  };
}

/** The guest of the recordings: 7 GiB, a 48-bit VT-d, `edu` and two `ivshmem` devices. */
export const DEFAULT_FACTS: MachineFacts = {
  memory: guestMemory(7 * 2 ** 30),
  iommu: guestIommu(INTEL_VTD),
  awBits: 48,
  devices: guestDevices(guestMemory(7 * 2 ** 30)),
  zeroPfn: 1,
  hugeZeroPfn: 512,
  thp: thpDefaults(X86_64),
  params: DEFAULT_MODULE_PARAMS,
  hugepages: { '2M': 700, '1G': 1 },
  memlock: 8 * 2 ** 20,
};

/** Device whose BAR a `machine` line places. */
const BAR_DEVICE = 'ivsh16';
const BAR_NUMBER = 2;

/**
 * The facts that a line changes.
 *
 * @param line what it says
 * @param facts the facts of the machine without it
 * @returns the facts to replace
 */
export function factsOfLine(line: MachineLine, facts: MachineFacts): Partial<MachineFacts> {
  const { memory, model, bar, hugepages, iommu, aw, resv } = line;
  // The firmware puts BARs where no memory is.
  const devices = memory && meets(memory, facts) ? guestDevices(memory) : facts.devices;
  return {
    ...(memory && { memory, devices }),
    ...(model && { memoryModel: model }),
    ...(bar && {
      devices: { ...devices, [BAR_DEVICE]: [{ bar: BAR_NUMBER, ...bar }] },
    }),
    ...(iommu !== undefined && { iommu: guestIommu(iommuKind(iommu, 'machine: iommu').name) }),
    ...(aw !== undefined && { awBits: aw }),
    ...(resv && { resvRegions: resv.map((range) => ({ type: 'reserved', ...range })) }),
    ...(hugepages !== undefined && { hugepages: { '2M': hugepages, '1G': 0 } }),
  };
}

/** Whether memory lies where a BAR does. */
function meets(memory: readonly MemoryRange[], { devices }: MachineFacts): boolean {
  const bars = Object.values(devices).flat();
  return bars.some((bar) =>
    memory.some(({ pfn, npage }) => pfn < bar.pfn + bar.npage && bar.pfn < pfn + npage),
  );
}
