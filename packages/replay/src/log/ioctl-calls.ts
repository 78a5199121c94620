/** Calls of an ioctl whose structure is known, from its bytes or from its values by name. */
import { decodeStruct, FLAGS, ioctlNamed, structLayout, type StructName } from '@pinfold/uapi';
import type { CallFacts, Sink } from './entries.ts';

/** The values of a structure by the names of its fields. */
export type FieldValues = ReadonlyMap<string, bigint>;

const MAP_ARGSZ = 32;
const IOAS_READABLE = 4n;
const IOAS_WRITEABLE = 2n;

/**
 * The values of a structure in bytes.
 *
 * @param name the structure
 * @param bytes its bytes
 * @returns the values; null if there are too few bytes
 */
function valuesOf(name: StructName, bytes: Uint8Array): FieldValues | null {
  if (bytes.length < structLayout(name).size) return null;
  const values = Object.entries(decodeStruct(name, bytes) as Record<string, number | bigint>);
  return new Map(values.map(([field, value]) => [field, BigInt(value)]));
}

type Reader = (values: FieldValues, facts: CallFacts, sink: Sink) => boolean;

/** Some fields; null if one is missing. */
function fields(values: FieldValues, ...names: string[]): bigint[] | null {
  const found = names.flatMap((name) => values.get(name) ?? []);
  return found.length === names.length ? found : null;
}

const READERS: Readonly<Record<string, Reader>> = {
  VFIO_IOMMU_MAP_DMA(values, facts, sink) {
    const [iova, va, size] = fields(values, 'iova', 'vaddr', 'size') ?? [];
    if (size === undefined) return false;
    const argsz = Number(values.get('argsz') ?? MAP_ARGSZ);
    sink.call({
      ...{ op: 'map', backend: 'type1', iova, va, size, flags: Number(values.get('flags') ?? 3n) },
      ...(argsz !== MAP_ARGSZ && { argsz }),
      ...facts,
    });
    return true;
  },
  VFIO_IOMMU_UNMAP_DMA(values, facts, sink) {
    const [iova, size] = fields(values, 'iova', 'size') ?? [];
    if (size === undefined) return false;
    const flags = Number(values.get('flags') ?? 0n);
    sink.call({ op: 'unmap', backend: 'type1', iova, size, flags, ...facts });
    return true;
  },
  VFIO_IOMMU_DIRTY_PAGES(values, facts, sink) {
    const bits = FLAGS.vfio_iommu_type1_dirty_bitmap;
    const flags = Number(values.get('flags') ?? -1n);
    const what =
      flags === bits.VFIO_IOMMU_DIRTY_PAGES_FLAG_START
        ? 'start'
        : flags === bits.VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP
          ? 'stop'
          : 'get';
    const [iova, size, bitmapSize] = fields(values, 'iova', 'size', 'bitmap_size') ?? [];
    if (what === 'get' && size === undefined) return false;
    const range = what === 'get' ? { iova, size, bitmapSize } : {};
    sink.call({ op: 'dirty', what, ...range, ...facts });
    return true;
  },
  IOMMU_IOAS_MAP(values, facts, sink) {
    const [iova, va, size] = fields(values, 'iova', 'user_va', 'length') ?? [];
    if (size === undefined) return false;
    const bits = values.get('flags') ?? 7n;
    const flags = (bits & IOAS_READABLE ? 1 : 0) | (bits & IOAS_WRITEABLE ? 2 : 0);
    sink.call({ op: 'map', backend: 'iommufd', iova, va, size, flags, ...facts });
    return true;
  },
  IOMMU_IOAS_UNMAP(values, facts, sink) {
    const [iova, size] = fields(values, 'iova', 'length') ?? [];
    if (size === undefined) return false;
    sink.call({ op: 'unmap', backend: 'iommufd', iova, size, flags: 0, ...facts });
    return true;
  },
};

/**
 * Whether an ioctl is one whose structure matters for mappings.
 *
 * @param name its name
 * @returns whether {@link readIoctl} reads it
 */
export function isMappingIoctl(name: string): boolean {
  return Object.hasOwn(READERS, name);
}

/**
 * Tells of an ioctl with its structure.
 *
 * @param name the ioctl
 * @param argument its structure, as values or as bytes; null: it is not in the log
 * @param facts what came of it
 * @param sink where to tell it
 */
export function readIoctl(
  name: string,
  argument: FieldValues | Uint8Array | null,
  facts: CallFacts,
  sink: Sink,
): void {
  if (!Object.hasOwn(READERS, name)) return;
  const struct = ioctlNamed(name)?.struct;
  const values =
    argument instanceof Uint8Array ? (struct ? valuesOf(struct, argument) : null) : argument;
  if (!values || !READERS[name](values, facts, sink)) sink.missing(name);
}
