/**
 * The facts of a machine, as opposed to what a kernel does with it: memory, IOMMU, devices, limits
 * and settings at boot.
 *
 * @source recordings README, "The guest"
 */
import { InputError, pageNumber, parseSize, X86_64, type Pfn } from '@pinfold/base';
import {
  SHMEM_ENABLED,
  thpDefaults,
  THP_ENABLED,
  type MemoryModel,
  type MemoryRange,
  type ThpEnabled,
  type ThpSettings,
} from '@pinfold/mm';
import { DEFAULT_MODULE_PARAMS, type ModuleParams } from '@pinfold/vfio-type1';
import { evaluate, parseExpression, type Regions } from './expression.ts';
import type { Recording } from './recording.ts';

const NO_REGIONS: Regions = new Map();

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

/**
 * The facts of the machine that a recording was made on.
 *
 * @param recording the recording
 * @param place its name, for messages
 * @returns memory, address width, bus addresses of BARs, zero pages, settings and limits
 * @throws {InputError} when a fact cannot be understood
 * @source recordings README, "Recording format" (`mem`, `aw_bits`, `guest`, `bar_phys`)
 */
export function factsOfRecording(recording: Recording, place: string): MachineFacts {
  const { guest } = recording;
  const start = recording.runs.find((run) => run.start_state)?.start_state;
  const zero = zeroPages(recording);
  const memory = guestMemory(parseSize(recording.mem, `${place}: mem`));
  return {
    memory,
    totalRam: Math.floor(guest.mem_total_kb / 4),
    awBits: recording.aw_bits,
    devices: devicesOf(recording, memory),
    zeroPfn: zero.small ?? DEFAULT_FACTS.zeroPfn,
    hugeZeroPfn: zero.huge ?? DEFAULT_FACTS.hugeZeroPfn,
    thp: {
      ...thpDefaults(X86_64),
      enabled: selectedWord(guest.thp_enabled, `${place}: guest.thp_enabled`),
      shmem: shmemWord(guest.shmem_thp, `${place}: guest.shmem_thp`),
    },
    params: {
      disableHugepages: guest.disable_hugepages === 'Y',
      dmaEntryLimit: Number(guest.dma_entry_limit),
    },
    hugepages: { '2M': Number(guest.hugepages_2m), '1G': Number(guest.hugepages_1g) },
    memlock: start?.memlock === null ? Infinity : (start?.memlock ?? DEFAULT_FACTS.memlock),
  };
}

/**
 * The word in brackets of a sysfs file such as `[always] madvise never`.
 *
 * @param text the file, or one word alone
 * @param place where it stands, for messages
 * @returns the word
 * @throws {InputError} when it is no setting of transparent huge pages
 * @source Documentation/admin-guide/mm/transhuge.rst, 6.16
 */
export function selectedWord(text: string, place: string): ThpEnabled {
  const word = /\[(\w+)\]/.exec(text)?.[1] ?? text.trim();
  const found = THP_ENABLED.find((known) => known === word);
  if (found) return found;
  throw new InputError(place, 'always, madvise or never', `'${text}'`);
}

/**
 * The word in brackets of shmem_enabled.
 *
 * @param text the file, or one word alone
 * @param place where it stands, for messages
 * @returns the word
 * @throws {InputError} when it is no setting of huge pages of shmem
 * @source Documentation/admin-guide/mm/transhuge.rst, 6.16
 */
export function shmemWord(text: string, place: string): ThpSettings['shmem'] {
  const word = /\[(\w+)\]/.exec(text)?.[1] ?? text.trim();
  const found = SHMEM_ENABLED.find((known) => known === word);
  if (found) return found;
  throw new InputError(place, SHMEM_ENABLED.join(', '), `'${text}'`);
}

/** The devices, with the bus addresses that the recording shows. */
function devicesOf(
  recording: Recording,
  memory: readonly MemoryRange[],
): Record<string, readonly BarFacts[]> {
  const devices = guestDevices(memory);
  for (const step of recording.runs.flatMap(({ steps }) => steps)) {
    const dev = /\bdev=(\w+)/.exec(step.line)?.[1];
    const bar = /\bbar=(\d)/.exec(step.line)?.[1];
    if (!dev || !bar || step.bar_phys === undefined) continue;
    const off = /\boff=(\S+)/.exec(step.line)?.[1] ?? '0';
    const offset = evaluate(parseExpression(off, step.line), NO_REGIONS, step.line);
    const size = step.region_info?.size ?? step.size ?? '0x0';
    const facts = {
      bar: Number(bar),
      // What is shown is where the region lies, behind its offset in the BAR.
      pfn: pageNumber(BigInt(step.bar_phys) - offset),
      npage: pageNumber(BigInt(size)),
    };
    const others = (devices[dev] ?? []).filter((known) => known.bar !== facts.bar);
    devices[dev] = [...others, facts];
  }
  return devices;
}

/** Where the zero pages lie, if any region shows them. */
function zeroPages(recording: Recording): { small?: Pfn; huge?: Pfn } {
  const found: { small?: Pfn; huge?: Pfn } = {};
  for (const { steps } of recording.runs) {
    for (const extent of steps.flatMap(({ layout }) => Object.values(layout ?? {}).flat())) {
      const [, pfn, , order, flags] = extent;
      if (!flags.includes('z')) continue;
      if (order === 0) found.small = pfn;
      else found.huge = pfn - (pfn % 2 ** order);
    }
  }
  return found;
}
