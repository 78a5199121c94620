/**
 * VFIO_IOMMU_GET_INFO with its capability chain: every capability says where the next one lies, counted
 * from the start of the structure; 0 ends the chain.
 *
 * @source include/uapi/linux/vfio.h, 7.3
 */
import { InputError } from '@pinfold/base';
import { INFO_CAPS } from './flags.ts';
import { decodeStruct, encodeStruct, structLayout, type StructValues } from './layout.ts';

/** Addresses that a device can reach, the last one included. */
export type IovaRangeValues = StructValues<'vfio_iova_range'>;

/** A capability of VFIO_IOMMU_GET_INFO. */
export type InfoCapability =
  | { readonly cap: 'iova_ranges'; readonly ranges: readonly IovaRangeValues[] }
  | {
      readonly cap: 'migration';
      readonly flags: number;
      readonly pgsizeBitmap: bigint;
      readonly maxDirtyBitmapSize: bigint;
    }
  | { readonly cap: 'dma_avail'; readonly avail: number }
  | { readonly cap: 'unknown'; readonly id: number; readonly version: number };

/** What VFIO_IOMMU_GET_INFO gives back. */
export interface InfoValues {
  /** Flags; see `FLAGS.vfio_iommu_type1_info`. */
  readonly flags: number;
  /** Page sizes as bits. */
  readonly pgsizes: bigint;
  /** Bytes that everything needs; more than were given, if it did not fit. */
  readonly argsz: number;
  /** The capabilities, in the order of the chain. */
  readonly caps: readonly InfoCapability[];
}

const INFO = 'vfio_iommu_type1_info';
const RANGES = 'vfio_iommu_type1_info_cap_iova_range';
const MIGRATION = 'vfio_iommu_type1_info_cap_migration';
const AVAIL = 'vfio_iommu_type1_info_dma_avail';
const RANGE_BYTES = structLayout('vfio_iova_range').size;

/**
 * Reads what VFIO_IOMMU_GET_INFO gave back.
 *
 * @param bytes the buffer
 * @returns its fields and its capabilities
 * @throws {InputError} when a capability lies outside of the buffer, or the chain does not end
 */
export function decodeInfo(bytes: Uint8Array): InfoValues {
  const info = decodeStruct(INFO, bytes);
  const caps: InfoCapability[] = [];
  const seen = new Set<number>();
  for (let at = info.cap_offset; at !== 0;) {
    if (seen.has(at)) {
      throw new InputError('VFIO_IOMMU_GET_INFO', 'a chain with an end', `byte ${at} again`);
    }
    seen.add(at);
    const header = decodeStruct('vfio_info_cap_header', bytes, at);
    caps.push(decodeCapability(bytes, at, header));
    at = header.next;
  }
  return { flags: info.flags, pgsizes: info.iova_pgsizes, argsz: info.argsz, caps };
}

function decodeCapability(
  bytes: Uint8Array,
  at: number,
  { id, version }: StructValues<'vfio_info_cap_header'>,
): InfoCapability {
  if (id === INFO_CAPS.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
    const { nr_iovas: count } = decodeStruct(RANGES, bytes, at);
    const first = at + structLayout(RANGES).size;
    const ranges = [];
    for (let i = 0; i < count; i++) {
      ranges.push(decodeStruct('vfio_iova_range', bytes, first + i * RANGE_BYTES));
    }
    return { cap: 'iova_ranges', ranges };
  }
  if (id === INFO_CAPS.VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION) {
    const found = decodeStruct(MIGRATION, bytes, at);
    const sizes = {
      pgsizeBitmap: found.pgsize_bitmap,
      maxDirtyBitmapSize: found.max_dirty_bitmap_size,
    };
    return { cap: 'migration', flags: found.flags, ...sizes };
  }
  if (id === INFO_CAPS.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL) {
    return { cap: 'dma_avail', avail: decodeStruct(AVAIL, bytes, at).avail };
  }
  return { cap: 'unknown', id, version };
}

/**
 * Writes what VFIO_IOMMU_GET_INFO gives back, as far as there is room.
 *
 * @param values what it says
 * @param room bytes of the caller's buffer; default: enough
 * @returns the buffer; without the capabilities if they do not fit, and `argsz` then says what is needed
 */
export function encodeInfo(values: Omit<InfoValues, 'argsz'>, room?: number): Uint8Array {
  const { flags, pgsizes, caps } = values;
  const parts = caps.map(encodeCapability);
  const head = structLayout(INFO).size;
  const needed = parts.reduce((sum, part) => sum + part.length, head);
  const fits = needed <= (room ?? Infinity) && parts.length > 0;
  const info = { argsz: needed, flags, iova_pgsizes: pgsizes, cap_offset: fits ? head : 0 };
  const bytes = new Uint8Array(fits ? needed : head);
  bytes.set(encodeStruct(INFO, info));
  if (!fits) return bytes;
  let at = head;
  const view = new DataView(bytes.buffer);
  for (const [index, part] of parts.entries()) {
    bytes.set(part, at);
    const next = index + 1 < parts.length ? at + part.length : 0;
    view.setUint32(at + 4, next, true);
    at += part.length;
  }
  return bytes;
}

/** A capability without its place in the chain, padded to 8 bytes. */
function encodeCapability(capability: InfoCapability): Uint8Array {
  const version = 1;
  switch (capability.cap) {
    case 'iova_ranges': {
      const { ranges } = capability;
      const id = INFO_CAPS.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
      const items = ranges.map((range) => encodeStruct('vfio_iova_range', range));
      return joined([encodeStruct(RANGES, { id, version, nr_iovas: ranges.length }), ...items]);
    }
    case 'migration': {
      const { flags, pgsizeBitmap, maxDirtyBitmapSize } = capability;
      const id = INFO_CAPS.VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION;
      const sizes = { pgsize_bitmap: pgsizeBitmap, max_dirty_bitmap_size: maxDirtyBitmapSize };
      return encodeStruct(MIGRATION, { id, version, flags, ...sizes });
    }
    case 'dma_avail': {
      const id = INFO_CAPS.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;
      return joined([encodeStruct(AVAIL, { id, version, avail: capability.avail })]);
    }
    case 'unknown':
      return encodeStruct('vfio_info_cap_header', {
        id: capability.id,
        version: capability.version,
      });
  }
}

/** Bytes one after another, padded to 8. */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(Math.ceil(length / 8) * 8);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
