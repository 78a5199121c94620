/**
 * The bytes between the preloaded library and the model: a request of a fixed head and what the
 * argument points to, and a reply of a fixed head, a path, and what is to be written into the program's
 * memory. `preload/pinfold-preload.c` has the same numbers.
 */

/** Kinds of request. */
export const REQUEST = {
  open: 1,
  adopt: 2,
  ioctl: 3,
  memory: 4,
  mmapDevice: 5,
  deviceMapped: 6,
  deviceRead: 7,
  deviceWrite: 8,
  closed: 9,
  rlimit: 10,
} as const;

/** What happened to memory: the first argument of a request about it. */
export const MEMORY = {
  mmap: 1,
  munmap: 2,
  mremap: 3,
  madvise: 4,
  mprotect: 5,
  mlock: 6,
  munlock: 7,
  populated: 8,
} as const;

/** Bytes of a request's head: length, kind, pid, tid, six arguments. */
const REQUEST_HEAD = 16 + 6 * 8;
/** Bytes of a reply's head: length, kind, result, extra, model time, writes, length of the path. */
const REPLY_HEAD = 8 + 3 * 8 + 8;
/** Bytes in front of each write: address and length. */
const WRITE_HEAD = 16;
/** The longest request that is believed: a head and what an argument points to. */
const MAX_REQUEST = 1 << 16;

/** What a process asks. */
export interface Request {
  /** One of {@link REQUEST}. */
  readonly kind: number;
  /** The process. */
  readonly pid: number;
  /** Its arguments, signed 64 bit. */
  readonly args: readonly bigint[];
  /** What the argument points to, as much as can be read; a path. */
  readonly payload: Uint8Array;
}

/** Bytes for the program's memory. */
export interface MemoryWrite {
  /** Address in the program. */
  readonly address: bigint;
  /** What is written there. */
  readonly bytes: Uint8Array;
}

/** What a process is answered. */
export interface Reply {
  /** What the call returns: a number, or a negative errno. */
  readonly ret: number;
  /** For the program's memory, before the call returns. */
  readonly writes?: readonly MemoryWrite[];
  /** The program gets a new descriptor: it is asked for with this number. */
  readonly descriptor?: number;
  /** It is none of the model's files: the call is made as it would be without it. */
  readonly foreign?: boolean;
  /** A file, and an offset in it, that is mapped. */
  readonly map?: { readonly path: string; readonly offset: number };
  /** Predicted nanoseconds of the call. */
  readonly modelNs?: number;
}

const REPLY_KIND = { plain: 0, descriptor: 1, foreign: 2 } as const;

/**
 * The bytes of a reply.
 *
 * @param reply the reply
 * @returns its bytes
 */
export function replyBytes(reply: Reply): Uint8Array {
  const { ret, writes = [], descriptor, foreign = false, map, modelNs = 0 } = reply;
  const path = Buffer.from(map?.path ?? '');
  const written = writes.reduce((sum, { bytes }) => sum + WRITE_HEAD + bytes.length, 0);
  const out = Buffer.alloc(REPLY_HEAD + path.length + written);
  const kind = foreign
    ? REPLY_KIND.foreign
    : descriptor === undefined
      ? REPLY_KIND.plain
      : REPLY_KIND.descriptor;
  out.writeUInt32LE(out.length, 0);
  out.writeInt32LE(kind, 4);
  out.writeBigInt64LE(BigInt(ret), 8);
  out.writeBigInt64LE(BigInt(descriptor ?? map?.offset ?? 0), 16);
  out.writeBigInt64LE(BigInt(Math.round(modelNs)), 24);
  out.writeUInt32LE(writes.length, 32);
  out.writeUInt32LE(path.length, 36);
  path.copy(out, REPLY_HEAD);
  let at = REPLY_HEAD + path.length;
  for (const { address, bytes } of writes) {
    out.writeBigUInt64LE(BigInt.asUintN(64, address), at);
    out.writeBigUInt64LE(BigInt(bytes.length), at + 8);
    out.set(bytes, at + WRITE_HEAD);
    at += WRITE_HEAD + bytes.length;
  }
  return out;
}

/** Cuts the bytes of a connection into requests. */
export class RequestReader {
  #rest = Buffer.alloc(0);

  /**
   * Takes what has come.
   *
   * @param bytes the bytes
   * @returns the requests that are whole; null when the peer is not the library: no request looks so
   */
  take(bytes: Uint8Array): Request[] | null {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const found: Request[] = [];
    while (this.#rest.length >= 4) {
      const length = this.#rest.readUInt32LE(0);
      if (length < REQUEST_HEAD || length > MAX_REQUEST) return null;
      if (this.#rest.length < length) break;
      found.push(requestOf(this.#rest.subarray(0, length)));
      this.#rest = this.#rest.subarray(length);
    }
    return found;
  }
}

function requestOf(bytes: Buffer): Request {
  const args = Array.from({ length: 6 }, (_, i) => bytes.readBigInt64LE(16 + 8 * i));
  return {
    kind: bytes.readUInt32LE(4),
    pid: bytes.readInt32LE(8),
    args,
    payload: Buffer.from(bytes.subarray(REQUEST_HEAD)),
  };
}
