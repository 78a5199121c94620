/** What a log tells: calls with their outcome, facts of the host, and what a message alone says. */

/** Where something is written. */
export interface Place {
  /** The file, as the user named it. */
  readonly file: string;
  /** Its line, from 1. */
  readonly line: number;
}

/** How the container is driven: type1, or an IOAS of iommufd. */
export type Backend = 'type1' | 'iommufd';

/** Kinds of memory, in the words of the scenario language; `thp` is anonymous memory in huge pages. */
export type Backing =
  'anon' | 'thp' | 'huge2m' | 'huge1g' | 'memfd' | 'memfd2m' | 'memfd1g' | 'file' | 'bar';

/** A system call or an ioctl, as far as it concerns DMA mappings and the memory below. */
export type CallBody =
  | { readonly op: 'opencontainer' | 'addgroup' | 'close' | 'iofd' }
  | {
      readonly op: 'fork';
      /** The new process. */
      readonly child: number;
      /** Whether it shares the memory of its parent: a thread. */
      readonly shares: boolean;
    }
  | { readonly op: 'setiommu'; readonly type: number }
  | {
      readonly op: 'map';
      readonly backend: Backend;
      readonly iova: bigint;
      readonly va: bigint;
      readonly size: bigint;
      /** READ 1, WRITE 2, VADDR 4. */
      readonly flags: number;
      /** Bytes of the structure, if they are not those of its fixed part. */
      readonly argsz?: number;
    }
  | {
      readonly op: 'unmap';
      readonly backend: Backend;
      readonly iova: bigint;
      readonly size: bigint;
      /** GET_DIRTY_BITMAP 1, ALL 2, VADDR 4. */
      readonly flags: number;
    }
  | {
      readonly op: 'dirty';
      readonly what: 'start' | 'stop' | 'get';
      readonly iova?: bigint;
      readonly size?: bigint;
      readonly bitmapSize?: bigint;
    }
  | {
      readonly op: 'mmap';
      readonly va: bigint;
      readonly size: bigint;
      readonly kind: Backing;
      readonly prot: string;
      readonly shared: boolean;
      readonly populate: boolean;
      readonly noreserve: boolean;
    }
  | { readonly op: 'munmap' | 'mlock' | 'munlock'; readonly va: bigint; readonly size: bigint }
  | {
      readonly op: 'madvise';
      readonly va: bigint;
      readonly size: bigint;
      readonly advice: string;
    }
  | {
      readonly op: 'mprotect';
      readonly va: bigint;
      readonly size: bigint;
      readonly prot: string;
    }
  | {
      readonly op: 'mremap';
      readonly va: bigint;
      readonly size: bigint;
      readonly newsize: bigint;
      readonly to: bigint;
    };

/** What is known of how a call was made and what came of it. */
export interface CallFacts {
  /** Name of the error; null: it succeeded; undefined: the log does not say. */
  readonly errno?: string | null;
  /** Process that called; 0 where the log does not say. */
  readonly process?: number;
  /** What tells containers apart, such as a descriptor. */
  readonly container?: string;
  /** How long it took, in seconds. */
  readonly seconds?: number;
}

/** A call in a log. */
export type LoggedCall = CallBody & CallFacts & { readonly at: Place; readonly text: string };

/** Which program has written a message. */
export type Program = 'qemu' | 'dpdk' | 'spdk' | 'cloud-hypervisor' | 'libvirt' | 'kernel';

/** Something that a message tells without the call that it is about, or beside it. */
export interface LoggedMessage {
  /** Where it is. */
  readonly at: Place;
  /** The line. */
  readonly text: string;
  /** Whose message it is. */
  readonly program: Program;
  /** What it is about: a key of the advice. */
  readonly about: string;
  /** Name of the error that it names. */
  readonly errno?: string;
  /** Numbers and names in it, by what they are. */
  readonly values?: Readonly<Record<string, string>>;
}

/** A range of addresses, both ends inclusive, that no device may use. */
export interface ReservedRegion {
  /** First byte. */
  readonly first: bigint;
  /** Last byte. */
  readonly last: bigint;
  /** Its type, such as `msi`. */
  readonly type: string;
}

/** A part of a process's memory as smaps describes it. */
export interface KnownMemory {
  /** First byte. */
  readonly va: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** What it is made of. */
  readonly kind: Backing;
}

/** What is known of the host and the process, wherever in the logs it stands. */
export interface HostFacts {
  /** Input address width of the IOMMU in bits. */
  addressWidth?: number;
  /** Kind of the IOMMU: `intel-vtd`, `amd` or `smmuv3`. */
  iommu?: string;
  /** Reserved regions of the group. */
  reserved?: ReservedRegion[];
  /** RLIMIT_MEMLOCK in bytes; Infinity: unlimited. */
  memlock?: number;
  /** Memory that was locked before, or in all, as VmLck says: bytes. */
  vmLck?: number;
  /** What other processes of the user have charged, in bytes. */
  chargedByUser?: number;
  /** Mappings that a container may have (dma_entry_limit). */
  entryLimit?: number;
  /** Huge pages of 2 MiB in the pool. */
  hugepages?: number;
  /** Release of the kernel. */
  kernel?: string;
  /** Memory of the process. */
  memory?: KnownMemory[];
  /** Whether the process has CAP_IPC_LOCK. */
  ipcLock?: boolean;
}

/** A fact, and where it stands. */
export interface LoggedFact {
  /** Where it is. */
  readonly at: Place;
  /** What it says, in words. */
  readonly said: string;
}

/** Where a format puts what it reads. */
export interface Sink {
  /** A call. */
  call(body: CallBody & CallFacts): void;
  /** The outcome of an earlier map that the log has told before, without its outcome. */
  outcome(errno: string, matches: (call: LoggedCall) => boolean): boolean;
  /** A message. */
  message(message: Omit<LoggedMessage, 'at' | 'text'>): void;
  /** A fact: what it says in words, and how the facts change. */
  fact(said: string, change: (facts: HostFacts) => void): void;
  /** A change of the facts that needs no words of its own. */
  change(change: (facts: HostFacts) => void): void;
  /** A call whose arguments are not in the log. */
  missing(what: string): void;
  /** A text within the line that may be of another format, such as what a program has written. */
  inner(text: string): void;
}

/** A kind of log. One object reads one file from its first line to its last. */
export interface LogReaderState {
  /**
   * Reads a line.
   *
   * @param line the line, without its line break
   * @param sink where to put what it says
   * @returns whether it is a line of this format
   * @throws {MalformedLine} when it is, but is broken
   */
  read(line: string, sink: Sink): boolean;
}

/** A format of logs. */
export interface LogFormat {
  /** Its name, as reports show it. */
  readonly name: string;
  /** Begins to read a file. */
  readonly open: () => LogReaderState;
}

/** A line that is of a format, but cannot be read. */
export class MalformedLine extends Error {
  override readonly name = 'MalformedLine';
}
