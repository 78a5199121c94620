/**
 * The operations of emulated devices, which pin the pages that they use themselves, and those that
 * look at the bytes in memory.
 *
 * @source README-extpin, "Operations"
 */

/** Who makes a call of a device: the process, a kernel thread, or a child that ends right after. */
export type Caller = 'process' | 'kthread' | 'child';
/** What a device gives back when a mapping goes: everything, nothing, ... of it. */
export type UnmapMode = 'all' | 'none' | 'skip' | 'one' | 'ref';

/** `addext`, `unset`, `closedev`: the group and the device file of an emulated device. */
export interface ExternalDeviceOperation {
  /** The operation. */
  readonly op: 'addext' | 'unset' | 'closedev';
  /** Alias of the device. */
  readonly dev: string;
}

/** `delext`: the device file is closed, and the group leaves. */
export interface DelextOperation {
  /** The operation. */
  readonly op: 'delext';
  /** Alias of the device. */
  readonly dev: string;
  /** Whether the device file stays open. */
  readonly keepfd: boolean;
}

/** `pin`: vfio_pin_pages. */
export interface PinOperation {
  /** The operation. */
  readonly op: 'pin';
  /** Alias of the device. */
  readonly dev: string;
  /** First I/O virtual address in bytes, of any alignment. */
  readonly iova: bigint;
  /** Pages; may be negative. */
  readonly n: number;
  /** Access that the device wants: READ 1, WRITE 2; may be any number. */
  readonly prot: number;
  /** Times that the call is made. */
  readonly times: number;
  /** Who makes it. */
  readonly from: Caller;
  /** Whether the page array is NULL. */
  readonly null: boolean;
  /** Whether the device does not remember these pins. */
  readonly forget: boolean;
}

/** `unpin`: vfio_unpin_pages. */
export interface UnpinOperation {
  /** The operation. */
  readonly op: 'unpin';
  /** Alias of the device. */
  readonly dev: string;
  /** First I/O virtual address in bytes. */
  readonly iova: bigint;
  /** Pages; may be negative. */
  readonly n: number;
  /** Times that the call is made. */
  readonly times: number;
  /** Who makes it. */
  readonly from: Caller;
  /** Whether the device still remembers the pins. */
  readonly forget: boolean;
}

/** `pinlist`, `unpinlist`: a call with one page for each address. */
export type PinListOperation =
  | {
      readonly op: 'pinlist';
      readonly dev: string;
      readonly iovas: readonly bigint[];
      /** Access that the device wants. */
      readonly prot: number;
    }
  | { readonly op: 'unpinlist'; readonly dev: string; readonly iovas: readonly bigint[] };

/** `dmarw`: vfio_dma_rw. */
export interface DmaRwOperation {
  /** The operation. */
  readonly op: 'dmarw';
  /** Alias of the device. */
  readonly dev: string;
  /** First I/O virtual address in bytes. */
  readonly iova: bigint;
  /** Bytes. */
  readonly len: number;
  /** Whether the device writes. */
  readonly write: boolean;
  /** What it writes. */
  readonly byte: number;
  /** Who makes the call. */
  readonly from: Caller;
  /** Whether the buffer is NULL. */
  readonly null: boolean;
}

/** `extmode`: what a device does when a mapping goes, and when it is closed. */
export interface ExtmodeOperation {
  /** The operation. */
  readonly op: 'extmode';
  /** Alias of the device. */
  readonly dev: string;
  /** What it gives back when a mapping goes. */
  readonly unmap: UnmapMode;
  /** Times that mode `skip` gives nothing back. */
  readonly k: number;
  /** Whether it keeps its pins when it is closed. */
  readonly keep: boolean;
}

/** `poke`, `peek`: the process writes or reads its memory. */
export type BytesOperation =
  | {
      readonly op: 'poke';
      readonly va: bigint;
      readonly size: bigint;
      /** What is written. */
      readonly byte: number;
    }
  | { readonly op: 'peek'; readonly va: bigint; readonly size: bigint };

/** All of them. */
export type ExternalOperation =
  | ExternalDeviceOperation
  | DelextOperation
  | PinOperation
  | UnpinOperation
  | PinListOperation
  | DmaRwOperation
  | ExtmodeOperation
  | BytesOperation;
