/**
 * /dev/vfio/vfio: a container, and the ioctls of type1.
 *
 * @source include/uapi/linux/vfio.h; drivers/vfio/container.c vfio_fops_unl_ioctl, 6.16
 */
import type { Done } from '@pinfold/guest';
import {
  decodeStruct,
  encodeInfo,
  ioctlsOf,
  structLayout,
  type InfoCapability,
} from '@pinfold/uapi';
import type { ExecModel } from '../model.ts';
import type { MemoryWrite, Reply } from '../protocol.ts';
import { ERRNO, returned, type IoctlCall, type VfioFile } from './vfio-file.ts';

const API_VERSION = 0;
/** Bytes of struct vfio_iommu_type1_info that every caller has. */
const INFO_MINSZ = 16;
const MAP = structLayout('vfio_iommu_type1_dma_map').size;
const UNMAP = structLayout('vfio_iommu_type1_dma_unmap').size;
const DIRTY = structLayout('vfio_iommu_type1_dirty_bitmap').size;
const BITMAP = structLayout('vfio_bitmap').size;
const DIRTY_GET = structLayout('vfio_iommu_type1_dirty_bitmap_get').size;
const UNMAP_SIZE_OFFSET = 16n;
const [UNMAP_GET_DIRTY, DIRTY_GET_BITMAP] = [1, 4];

/** A container of the program. */
export class ContainerFile implements VfioFile {
  readonly name: string;
  readonly kinds = ['vfio', 'type1'] as const;
  readonly #model: ExecModel;

  /**
   * @param model the model
   * @param name what scenarios call it
   */
  constructor(model: ExecModel, name: string) {
    this.#model = model;
    this.name = name;
    model.openContainer(name);
  }

  ioctl(call: IoctlCall): Reply | null {
    const known = ioctlsOf(call.command).find(({ file }) => file === 'vfio' || file === 'type1');
    const act = known && CALLS[known.name];
    if (!act) return null;
    if (known.name !== 'VFIO_GET_API_VERSION') this.#model.useContainer(this.name);
    return act(this.#model, call);
  }

  closed(): void {
    this.#model.useContainer(this.name);
    this.#model.perform({ op: 'closecontainer' });
    this.#model.forgetContainer();
  }
}

type Act = (model: ExecModel, call: IoctlCall) => Reply;

const CALLS: Readonly<Record<string, Act>> = {
  VFIO_GET_API_VERSION: () => returned(API_VERSION),
  VFIO_CHECK_EXTENSION: (model, { argument }) =>
    returned(model.perform({ op: 'extension', number: numberOf(argument) }).code),
  VFIO_SET_IOMMU: (model, { argument }) =>
    returned(model.perform({ op: 'setiommu', type: numberOf(argument) }).code),
  VFIO_IOMMU_GET_INFO: getInfo,
  VFIO_IOMMU_MAP_DMA: mapDma,
  VFIO_IOMMU_UNMAP_DMA: unmapDma,
  VFIO_IOMMU_DIRTY_PAGES: dirtyPages,
};

/** An argument that is a number: beyond 31 bits nothing has one, so that the largest stands for all. */
function numberOf(argument: bigint): number {
  return argument < 0n || argument > MAX_NUMBER ? Number(MAX_NUMBER) : Number(argument);
}

const MAX_NUMBER = 0x7fffffffn;
const EFAULT = returned(-ERRNO.EFAULT);

function getInfo(model: ExecModel, { bytes, argument }: IoctlCall): Reply {
  if (bytes.length < INFO_MINSZ) return EFAULT;
  const argsz = bytes.readUInt32LE(0);
  const done = model.perform({ op: 'info', argsz });
  if (done.code < 0 || !done.info) return returned(done.code);
  const { flags, pgsizes, caps } = done.info;
  const values = { flags, pgsizes: BigInt(pgsizes), caps: caps.map(capOf) };
  const info = Buffer.from(encodeInfo(values, argsz));
  // With room for all of it the caller's size stays; without it the size says what is needed.
  info.writeUInt32LE(done.info.argsz, 0);
  return returned(0, [
    { address: argument, bytes: info.subarray(0, Math.min(argsz, info.length)) },
  ]);
}

type ShownCap = NonNullable<Done['info']>['caps'][number];

/** A capability as its bytes are made from. */
function capOf(cap: ShownCap): InfoCapability {
  if (cap.name === 'iova_ranges') {
    const shown = cap.ranges as readonly (readonly [string, string])[];
    const ranges = shown.map(([start, end]) => ({ start: BigInt(start), end: BigInt(end) }));
    return { cap: 'iova_ranges', ranges };
  }
  if (cap.name === 'migration') {
    const pgsizeBitmap = BigInt(cap.pgsize_bitmap as string);
    const maxDirtyBitmapSize = BigInt(cap.max_dirty_bitmap_size as string);
    return { cap: 'migration', flags: cap.flags as number, pgsizeBitmap, maxDirtyBitmapSize };
  }
  return { cap: 'dma_avail', avail: cap.avail as number };
}

function mapDma(model: ExecModel, { bytes, memory }: IoctlCall): Reply {
  if (bytes.length < MAP) return EFAULT;
  const { argsz, flags, vaddr: va, iova, size } = decodeStruct('vfio_iommu_type1_dma_map', bytes);
  memory.need(va, size);
  const done = model.perform({ op: 'map', iova, va, size, flags, argsz });
  if (done.code === 0) memory.pinned(va, size);
  return returned(done.code);
}

function unmapDma(model: ExecModel, { bytes, argument }: IoctlCall): Reply {
  if (bytes.length < UNMAP) return EFAULT;
  const { argsz, flags, iova, size } = decodeStruct('vfio_iommu_type1_dma_unmap', bytes);
  const wanted = (flags & UNMAP_GET_DIRTY) !== 0;
  if (wanted && argsz >= UNMAP + BITMAP && bytes.length < UNMAP + BITMAP) return EFAULT;
  const has = wanted && bytes.length >= UNMAP + BITMAP;
  const bitmap = has ? decodeStruct('vfio_bitmap', bytes, UNMAP) : null;
  const room = bitmap && { pgsize: bitmap.pgsize, bmsize: bitmap.size };
  const done = model.perform({ op: 'unmap', iova, size, flags, argsz, ...room });
  if (done.code < 0) return returned(done.code);
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(done.size_out ?? 0));
  const bits = bitmap ? bitmapWrite(done, size, bitmap.pgsize, bitmap.data) : [];
  return returned(0, [{ address: argument + UNMAP_SIZE_OFFSET, bytes: out }, ...bits]);
}

function dirtyPages(model: ExecModel, { bytes }: IoctlCall): Reply {
  if (bytes.length < DIRTY) return EFAULT;
  const { argsz, flags } = decodeStruct('vfio_iommu_type1_dirty_bitmap', bytes);
  const gets = (flags & DIRTY_GET_BITMAP) !== 0 && argsz >= DIRTY + DIRTY_GET;
  if (gets && bytes.length < DIRTY + DIRTY_GET) return EFAULT;
  const range = gets ? decodeStruct('vfio_iommu_type1_dirty_bitmap_get', bytes, DIRTY) : null;
  const { iova = 0n, size = 0n, pgsize = 4096n, bitmap_size: bmsize = 0n } = range ?? {};
  const done = model.perform({ op: 'dirty', flags, argsz, iova, size, pgsize, bmsize });
  if (done.code < 0 || !range) return returned(done.code);
  return returned(0, bitmapWrite(done, size, pgsize, range.bitmap_data));
}

/** The bitmap of a range, a bit a page, in whole words. */
function bitmapWrite(done: Done, size: bigint, pgsize: bigint, address: bigint): MemoryWrite[] {
  const pages = Number(size / pgsize);
  if (!done.bitmap || pages === 0) return [];
  const bits = new Uint8Array(Math.ceil(pages / 64) * 8);
  for (const [from, count] of done.bitmap.runs) {
    for (let page = from; page < from + count; page++) bits[page >> 3] |= 1 << (page & 7);
  }
  return [{ address, bytes: bits }];
}
