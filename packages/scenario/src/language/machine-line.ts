/**
 * The line `machine` of a scenario: the machine that it is for, where that is not the default. It is
 * pinfold's own. A host file says the same at length.
 */
import { InputError, type Pfn } from '@pinfold/base';
import { machineWords } from './machine-words.ts';

/** Frames that follow each other. */
export interface FrameRange {
  /** First frame. */
  readonly pfn: Pfn;
  /** Number of frames. */
  readonly npage: number;
}

/** I/O virtual addresses that no device may use. */
export interface ReservedRange {
  /** First page. */
  readonly start: number;
  /** Last page, inclusive. */
  readonly last: number;
}

/** How a kernel finds a `struct page`: in one virtual array, or in an array per section. */
export type MachineMemoryModel = 'sparsemem-vmemmap' | 'sparsemem';

/** A BAR of a device. */
export interface MachineBar {
  /** Alias of the device. */
  readonly dev: string;
  /** Number of the BAR. */
  readonly bar: number;
  /** Length in bytes, a power of two of at least a page. */
  readonly bytes: number;
  /** First byte of its bus address; default: where the firmware would put it. */
  readonly address?: number;
}

/** An IOMMU group. */
export interface MachineGroup {
  /** Its number, or a name such as `noiommu-0`, which is a group without an IOMMU. */
  readonly name: string;
  /** Aliases of its devices that are bound to vfio-pci. */
  readonly devices: readonly string[];
  /** Its devices that a driver of the host has: the group is not viable then. */
  readonly hostDriven: readonly string[];
}

/** A pool of huge pages. */
export interface MachinePool {
  /** Bytes of a page: 2 MiB, 1 GiB. */
  readonly pageBytes: number;
  /** Pages in it. */
  readonly pages: number;
}

/** What a `machine` line may say. */
export interface MachineLine {
  /** Physical memory: `memory=PFNxN,...`. */
  readonly memory?: readonly FrameRange[];
  /** Physical memory in bytes, laid out as on a PC: `memory=64G`. */
  readonly bytes?: number;
  /** How the kernel finds a `struct page`: `model=vmemmap` or `model=sparsemem`. */
  readonly model?: MachineMemoryModel;
  /** Bytes of a page: `page=4K`. */
  readonly page?: number;
  /** Place and length of the BAR 2 of `ivsh16`: `bar=PFNxN`. */
  readonly bar?: FrameRange;
  /** BARs of devices: `bar.gpu0.1=128G`, with the bus address behind an `@`. */
  readonly bars?: readonly MachineBar[];
  /** Huge pages of 2 MiB in the pool, and no other pool: `hugepages=N`. */
  readonly hugepages?: number;
  /** Pools of huge pages by their size: `pool2m=N` or in bytes, `pool1g=64G`. */
  readonly pools?: readonly MachinePool[];
  /** Kind of the IOMMU: `iommu=amd`. */
  readonly iommu?: string;
  /** Input address width of the IOMMU in bits: `aw=39`. */
  readonly aw?: number;
  /** Addresses that are reserved besides the IOMMU's own, the last included: `resv=A-B,...`. */
  readonly resv?: readonly ReservedRange[];
  /** Groups with their devices, `!` before one of the host: `group.26=gpu0,!audio0`. */
  readonly groups?: readonly MachineGroup[];
  /** Module parameters by name: `param.dma_entry_limit=1000`. */
  readonly params?: Readonly<Record<string, string>>;
  /** /sys/kernel/mm/transparent_hugepage/enabled: `thp=madvise`. */
  readonly thp?: string;
  /** /sys/kernel/mm/transparent_hugepage/shmem_enabled: `shmem=advise`. */
  readonly shmem?: string;
  /** RLIMIT_MEMLOCK of the process in bytes: `memlock=64M` or `memlock=unlimited`. */
  readonly memlock?: number;
  /** Whether the process has CAP_IPC_LOCK, as root has: `user=root` or `user=plain`. */
  readonly capIpcLock?: boolean;
  /** Kernel release: `kernel=6.8.12-2-pve`. */
  readonly kernel?: string;
}

/** A line that is being read. */
export type WritableLine = { -readonly [Key in keyof MachineLine]: MachineLine[Key] };

/**
 * Reads the words of a `machine` line.
 *
 * @param words the words behind `machine`
 * @param place file and line, for messages
 * @returns what it says
 * @throws {InputError} for a word that it does not have
 */
export function readMachineLine(words: readonly string[], place: string): MachineLine {
  const line: WritableLine = {};
  for (const word of words) {
    const [, key = '', value = ''] = /^([\w.-]+)=(\S+)$/.exec(word) ?? [];
    const known = machineWords.find(({ key: wanted }) => wanted.test(key));
    if (!known) {
      const expected = `machine ${machineWords.map(({ usage }) => `[${usage}]`).join(' ')}`;
      throw new InputError(place, expected, `'${word}'`);
    }
    known.read(line, value, `${place}: ${key}`, key);
  }
  return line;
}

/**
 * The line of a machine, as {@link readMachineLine} reads it.
 *
 * @param line what it says
 * @returns the line
 */
export function machineLineText(line: MachineLine): string {
  return ['machine', ...machineWords.flatMap(({ write }) => write(line))].join(' ');
}

/**
 * A machine that is described twice: what the second says replaces what the first does, but for lists,
 * of which each entry replaces the one of its name.
 *
 * @param one a description, such as a host file
 * @param other what is said besides, such as the `machine` line of a scenario
 * @returns both
 */
export function joinMachineLines(one: MachineLine, other: MachineLine): MachineLine {
  // Each of the two has one way of saying it, which replaces both ways of the other.
  const base = { ...one };
  if (other.memory || other.bytes !== undefined) forget(base, 'memory', 'bytes');
  if (other.pools || other.hugepages !== undefined) forget(base, 'pools', 'hugepages');
  const bars = join(one.bars, other.bars, ({ dev, bar }) => `${dev}.${bar}`);
  const groups = join(one.groups, other.groups, ({ name }) => name);
  const params = { ...one.params, ...other.params };
  return {
    ...base,
    ...other,
    ...(bars.length > 0 && { bars }),
    ...(groups.length > 0 && { groups }),
    ...(Object.keys(params).length > 0 && { params }),
  };
}

function forget(line: WritableLine, ...names: readonly (keyof MachineLine)[]): void {
  for (const name of names) Reflect.deleteProperty(line, name);
}

function join<Item>(
  one: readonly Item[] | undefined,
  other: readonly Item[] | undefined,
  keyOf: (item: Item) => string,
): readonly Item[] {
  return [
    ...new Map([...(one ?? []), ...(other ?? [])].map((item) => [keyOf(item), item])).values(),
  ];
}
