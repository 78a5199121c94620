/**
 * The facts of a machine, as opposed to what a kernel does with it: memory, IOMMU, devices, limits
 * and settings at boot.
 *
 * @source recordings README, "The guest"
 */
import { X86_64, type Pfn } from '@pinfold/base';
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
  /** Input address width of the IOMMU in bits. */
  readonly awBits: number;
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

/**
 * Memory of a q35 guest: up to 2 GiB below the PCI hole, the rest from 4 GiB on. A guest of less
 * than 2.75 GiB has it all below.
 *
 * @param bytes size of the memory
 * @returns its ranges in pages
 * @source QEMU hw/i386/pc_q35.c pc_q35_init
 */
export function guestMemory(bytes: number): MemoryRange[] {
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
  const { memory, model, bar, hugepages } = line;
  // The firmware puts BARs where no memory is.
  const devices = memory && meets(memory, facts) ? guestDevices(memory) : facts.devices;
  return {
    ...(memory && { memory, devices }),
    ...(model && { memoryModel: model }),
    ...(bar && {
      devices: { ...devices, [BAR_DEVICE]: [{ bar: BAR_NUMBER, ...bar }] },
    }),
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
