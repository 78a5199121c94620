/**
 * A recording: what a real kernel did, step by step. The fields have the names that they have in
 * the file; fields that are not listed here are kept as they are.
 *
 * @source recordings README, "Recording format"
 */
import type { Probe } from '@pinfold/guest';
import type { LockedMemory, Observation, PinCounts } from '@pinfold/scenario';

/** The only format there is. */
export const RECORDING_FORMAT = 'vfio-oracle/1';

/** Facts that the recording program saw in the guest. */
export interface RecordedGuest {
  /** Probes by name; a name that ends in `_ret` is that of a return. */
  readonly probes: Readonly<Record<string, Probe | null>>;
  /** Kernel command line. */
  readonly cmdline: string;
  /** transparent_hugepage/enabled, the selected word in brackets. */
  readonly thp_enabled: string;
  /** transparent_hugepage/defrag. */
  readonly thp_defrag: string;
  /** transparent_hugepage/shmem_enabled. */
  readonly shmem_thp: string;
  /** Module parameter of vfio_iommu_type1. */
  readonly dma_entry_limit: string | null;
  /** Module parameter of vfio_iommu_type1, `Y` or `N`. */
  readonly disable_hugepages: string | null;
  /** Capability register of the VT-d unit, hexadecimal without `0x`. */
  readonly iommu_cap: string;
  /** Extended capability register of the VT-d unit. */
  readonly iommu_ecap: string;
  /** 2 MiB pages in the hugetlb pool. */
  readonly hugepages_2m: string;
  /** 1 GiB pages in the hugetlb pool. */
  readonly hugepages_1g: string;
  /** Memory of the guest in kB. */
  readonly mem_total_kb: number;
  /** Further facts. */
  readonly [fact: string]: unknown;
}

/** What `bench` measured: times in ns. */
export interface RecordedBench {
  /** Address that was mapped. */
  readonly va: string;
  /** Where it was mapped. */
  readonly iova: string;
  /** Bytes. */
  readonly size: string;
  /** Rounds before the first that counts. */
  readonly warm: number;
  /** Time of each map. */
  readonly map_ns: readonly number[];
  /** Time of each unmap. */
  readonly unmap_ns: readonly number[];
  /** Error that ended the maps, or null. */
  readonly map_errno: string | null;
  /** Error that ended the unmaps, or null. */
  readonly unmap_errno: string | null;
}

/** A step of a pass. */
export interface RecordedStep extends Observation {
  /** Its line in the script. */
  readonly line: string;
  /** Elapsed time; meaningless in the trace pass. */
  readonly ns?: number;
  /** Number of the IOMMU type that `open` set. */
  readonly iommu_type?: number;
  /** VFIO_DEVICE_GET_REGION_INFO of a BAR. */
  readonly region_info?: {
    /** VFIO_REGION_INFO_FLAG_*. */
    readonly flags: number;
    /** Bytes. */
    readonly size: string;
    /** Offset for mmap. */
    readonly offset: string;
  };
  /** What `bench` measured. */
  readonly bench?: RecordedBench;
}

/** State before the first step. */
export interface StartState {
  /** kB of locked_vm. */
  readonly mm: LockedMemory;
  /** Counters of the guest, in pages. */
  readonly pins: PinCounts;
  /** Soft RLIMIT_MEMLOCK in bytes, null for unlimited. */
  readonly memlock: number | null;
}

/** One execution of the script, in its own process. */
export interface RecordedPass {
  /** With kprobes and layouts, or without. */
  readonly pass: 'trace' | 'plain';
  /** Of the process. */
  readonly exit_status: number;
  /** 1 if the process had to be killed. */
  readonly timeout: number;
  /** Pins that the guest has more than at the start when the process has gone, in pages. */
  readonly pins_left: number;
  /** Time of the pass. */
  readonly wall_ms: number;
  /** State before the first step; absent if the process died. */
  readonly start_state?: StartState;
  /** One per step of the script; fewer if the process died. */
  readonly steps: readonly RecordedStep[];
  /** Only if the process died inside a step: why its output could not be read. */
  readonly broken?: string;
  /** Only if the process died inside a step: the end of its output. */
  readonly broken_tail?: string;
  /** Only if the kernel died: its messages of the whole pass. */
  readonly klog?: readonly string[];
}

/** A recording. */
export interface Recording {
  /** `vfio-oracle/1`. */
  readonly format: typeof RECORDING_FORMAT;
  /** Name of the scenario's file without `.scn`. */
  readonly scenario: string;
  /** Its title. */
  readonly title: string;
  /** Its lines. */
  readonly script: readonly string[];
  /** The kernel: `6.18.15`. */
  readonly kernel: string;
  /** `uname -r`. */
  readonly release: string;
  /** How QEMU ran: `tcg`, `icount` or `kvm`. */
  readonly accel: string;
  /** Version of QEMU. */
  readonly qemu: string;
  /** Address width of the IOMMU in bits: 48 or 39; of AMD 64. */
  readonly aw_bits: number;
  /** What QEMU emulates as the IOMMU: `amd-iommu,…`, `smmuv3,…`; absent: VT-d. */
  readonly iommu_device?: string;
  /** Memory of the guest. */
  readonly mem: string;
  /** When it was recorded. */
  readonly date: string;
  /** Kernel options: `y`, `m`, a value, or null for not set. */
  readonly config: Readonly<Record<string, string | null>>;
  /** Facts of the guest. */
  readonly guest: RecordedGuest;
  /** The passes. */
  readonly runs: readonly RecordedPass[];
}
