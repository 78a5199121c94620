/**
 * /dev/iommu: an iommufd with its I/O address spaces.
 *
 * @source include/uapi/linux/iommufd.h; drivers/iommu/iommufd/main.c iommufd_fops_ioctl, 6.16
 */
import { ModelBug } from '@pinfold/base';
import type { Operation } from '@pinfold/guest';
import { decodeStruct, ioctlsOf, structLayout, type StructName } from '@pinfold/uapi';
import type { ExecModel } from '../model.ts';
import type { Reply } from '../protocol.ts';
import { ERRNO, returned, type IoctlCall, type VfioFile } from './vfio-file.ts';

/** An iommufd of the program. */
export class IommufdFile implements VfioFile {
  readonly name = '/dev/iommu';
  readonly kinds = ['iommufd'] as const;
  readonly #model: ExecModel;

  /** @param model the model, which opens an iommufd */
  constructor(model: ExecModel) {
    this.#model = model;
    model.perform(OPEN);
  }

  ioctl(call: IoctlCall): Reply | null {
    const [known] = ioctlsOf(call.command, 'iommufd');
    const act = known && CALLS[known.name];
    if (!act || !known.struct) return null;
    const wrong = wrongSize(known.struct, call.bytes);
    return wrong === 0 ? act(this.#model, call) : returned(wrong);
  }

  closed(): void {
    this.#model.perform({ op: 'closeiofd' });
  }
}

/** Opens /dev/iommu, and does no more. */
const OPEN: Operation = {
  op: 'iofd',
  dev: 'edu',
  name: 'I',
  only: true,
  nobind: false,
  noattach: false,
};
/** Errno of a structure with more than the kernel knows. */
const E2BIG = 7;

/** What is wrong with a structure as such: it cannot be read, is too short, or has unknown parts. */
function wrongSize(struct: StructName, bytes: Buffer): number {
  const least = structLayout(struct).size;
  if (bytes.length < 4) return -ERRNO.EFAULT;
  const size = bytes.readUInt32LE(0);
  if (size < least) return -ERRNO.EINVAL;
  if (bytes.length < Math.min(size, MOST)) return -ERRNO.EFAULT;
  return bytes.subarray(least, Math.min(size, bytes.length)).some((byte) => byte !== 0)
    ? -E2BIG
    : 0;
}

/** Bytes of an argument that the library sends. */
const MOST = 256;

const RANGES = 'iommu_ioas_iova_ranges';

type Act = (model: ExecModel, call: IoctlCall) => Reply;

const CALLS: Readonly<Record<string, Act>> = {
  IOMMU_DESTROY: (model, { bytes }) => {
    const { id } = decodeStruct('iommu_destroy', bytes);
    return returned(model.perform({ op: 'destroy', id: String(id) }).code);
  },
  IOMMU_IOAS_ALLOC: ioasAlloc,
  IOMMU_IOAS_MAP: ioasMap,
  IOMMU_IOAS_UNMAP: ioasUnmap,
  IOMMU_IOAS_COPY: ioasCopy,
  IOMMU_IOAS_IOVA_RANGES: iovaRanges,
  IOMMU_OPTION: option,
};

/** An IOAS is called after its number, which the kernel chooses: `I` and how many came before. */
function ioasAlloc(model: ExecModel, { bytes, argument }: IoctlCall): Reply {
  if (decodeStruct('iommu_ioas_alloc', bytes).flags !== 0) return returned(-ERRNO.EOPNOTSUPP);
  const before = model.done.filter(({ operation }) => operation.op === 'ioas_alloc').length;
  const done = model.perform({ op: 'ioas_alloc', name: `I${before}` });
  return written(done.code, argument + at('iommu_ioas_alloc', 'out_ioas_id'), u32(done.ioas ?? 0));
}

function ioasMap(model: ExecModel, { bytes, argument, memory }: IoctlCall): Reply {
  const map = decodeStruct('iommu_ioas_map', bytes);
  const { size: argsz, flags, ioas_id: id, __reserved: rsv, user_va: va, length, iova } = map;
  memory.need(va, length);
  const done = model.perform({
    ...{ op: 'ioas_map', ioas: String(id), iova, size: length, flags, argsz, rsv, tail: false, va },
  });
  if (done.code === 0) memory.pinned(va, length);
  return written(done.code, argument + at('iommu_ioas_map', 'iova'), u64(done.iova_out));
}

function ioasUnmap(model: ExecModel, { bytes, argument }: IoctlCall): Reply {
  const { size: argsz, ioas_id: id, iova, length } = decodeStruct('iommu_ioas_unmap', bytes);
  const done = model.perform({
    ...{ op: 'ioas_unmap', ioas: String(id), iova, size: length, argsz, tail: false },
  });
  return written(done.code, argument + at('iommu_ioas_unmap', 'length'), u64(done.size_out));
}

function ioasCopy(model: ExecModel, { bytes, argument }: IoctlCall): Reply {
  const copy = decodeStruct('iommu_ioas_copy', bytes);
  const { flags, dst_ioas_id: dst, src_ioas_id: src, length: size } = copy;
  const done = model.perform({
    ...{ op: 'ioas_copy', src: String(src), dst: String(dst), src_iova: copy.src_iova },
    ...{ iova: copy.dst_iova, size, flags },
  });
  return written(done.code, argument + at('iommu_ioas_copy', 'dst_iova'), u64(done.iova_out));
}

function iovaRanges(model: ExecModel, { bytes, argument }: IoctlCall): Reply {
  const asked = decodeStruct(RANGES, bytes);
  const { ioas_id: id, num_iovas: num, __reserved: rsv, allowed_iovas: address } = asked;
  const done = model.perform({ op: 'iova_ranges', ioas: String(id), num, rsv });
  const ranges = done.ranges ?? [];
  const list = Buffer.concat(ranges.flatMap(([start, last]) => [u64(start), u64(last)]));
  // The number that there are is written with EMSGSIZE too.
  const sizes = [
    { address: argument + at(RANGES, 'num_iovas'), bytes: u32(done.num ?? 0) },
    { address: argument + at(RANGES, 'out_iova_alignment'), bytes: u64(done.align) },
  ];
  const known = done.num === undefined ? [] : sizes;
  return returned(done.code, list.length > 0 ? [...known, { address, bytes: list }] : known);
}

function option(model: ExecModel, { bytes, argument }: IoctlCall): Reply {
  const asked = decodeStruct('iommu_option', bytes);
  const { option_id: what, op: action, __reserved: rsv, object_id: id, val64: val } = asked;
  if (rsv !== 0) return returned(-ERRNO.EOPNOTSUPP);
  const done = model.perform({ op: 'option', what, do: action, val, id: String(id) });
  return written(done.code, argument + at('iommu_option', 'val64'), u64(done.val));
}

/** Where a field lies in its structure. */
function at(struct: StructName, name: string): bigint {
  const field = structLayout(struct).fields.find((each) => each.name === name);
  if (!field) throw new ModelBug(`${struct} has no field ${name}`);
  return BigInt(field.offset);
}

/** A call that writes one field when it succeeds. */
function written(code: number, address: bigint, bytes: Buffer): Reply {
  return code < 0 ? returned(code) : returned(0, [{ address, bytes }]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: string | number | undefined): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value ?? 0));
  return bytes;
}
