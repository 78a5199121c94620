/** Where the fields of a structure lie, and its bytes as values and back. */
import { InputError } from '@pinfold/base';
import { STRUCT_FIELDS, type FieldKind, type StructName } from './structs.ts';

/** A field of a structure. */
export interface Field {
  /** Its name. */
  readonly name: string;
  /** Its kind. */
  readonly kind: FieldKind;
  /** Where it begins, in bytes. */
  readonly offset: number;
  /** Its length in bytes. */
  readonly size: number;
}

/** A structure. */
export interface StructLayout {
  /** Its name. */
  readonly name: StructName;
  /** Its length in bytes, padding at the end included. */
  readonly size: number;
  /** Its fields in order. */
  readonly fields: readonly Field[];
}

/** The value of a field of a kind. */
type ValueOf<Kind> = Kind extends 'u64' ? bigint : number;
/** The values of a list of fields. */
type ValuesOf<Fields> = Fields extends `${infer Name}:${infer Kind} ${infer Rest}`
  ? Readonly<Record<Name, ValueOf<Kind>>> & ValuesOf<Rest>
  : Fields extends `${infer Name}:${infer Kind}`
    ? Readonly<Record<Name, ValueOf<Kind>>>
    : never;

/** The values of the fields of a structure: 64 bits as a `bigint`, fewer as a `number`. */
export type StructValues<Name extends StructName> = ValuesOf<(typeof STRUCT_FIELDS)[Name]>;

const BYTES: Readonly<Record<FieldKind, number>> = { u8: 1, u16: 2, u32: 4, s32: 4, u64: 8 };

function layOut(name: StructName): StructLayout {
  let end = 0;
  let largest = 1;
  const fields = STRUCT_FIELDS[name].split(' ').map((written) => {
    const [field = '', kind = ''] = written.split(':');
    const size = BYTES[kind as FieldKind];
    const offset = roundUp(end, size);
    end = offset + size;
    largest = Math.max(largest, size);
    return { name: field, kind: kind as FieldKind, offset, size };
  });
  return { name, size: roundUp(end, largest), fields };
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

const LAYOUTS: ReadonlyMap<string, StructLayout> = new Map(
  (Object.keys(STRUCT_FIELDS) as StructName[]).map((name) => [name, layOut(name)]),
);

/**
 * The layout of a structure.
 *
 * @param name its name
 * @returns its fields with their offsets
 * @throws {InputError} when there is no such structure
 */
export function structLayout(name: string): StructLayout {
  const layout = LAYOUTS.get(name);
  if (layout) return layout;
  throw new InputError('structure', `one of ${[...LAYOUTS.keys()].join(', ')}`, `'${name}'`);
}

/**
 * Reads a structure.
 *
 * @param name its name
 * @param bytes the memory that it lies in, little endian
 * @param from where it begins, in bytes; default 0
 * @returns the value of each field
 * @throws {InputError} when it does not fit into the bytes
 */
export function decodeStruct<Name extends StructName>(
  name: Name,
  bytes: Uint8Array,
  from?: number,
): StructValues<Name> {
  const at = from ?? 0;
  const { size, fields } = structLayout(name);
  if (at < 0 || at + size > bytes.length) {
    const there = `${Math.max(0, bytes.length - at)} bytes`;
    throw new InputError(`struct ${name}`, `${size} bytes from byte ${at} on`, there);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const values = Object.fromEntries(
    fields.map((field) => [field.name, readers[field.kind](view, at + field.offset)]),
  );
  return values as StructValues<Name>;
}

/**
 * Writes a structure.
 *
 * @param name its name
 * @param values values of its fields; default of a field: 0, of `argsz` and of iommufd's `size`: the
 *   length of the structure
 * @returns its bytes, little endian; a value that is too wide loses its upper bits
 */
export function encodeStruct<Name extends StructName>(
  name: Name,
  values: Partial<StructValues<Name>>,
): Uint8Array {
  const { size, fields } = structLayout(name);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  const given = values as Readonly<Record<string, number | bigint | undefined>>;
  for (const field of fields) {
    const length = field.offset === 0 && ['argsz', 'size'].includes(field.name) ? size : 0;
    writers[field.kind](view, field.offset, given[field.name] ?? length);
  }
  return bytes;
}

const readers: Readonly<Record<FieldKind, (view: DataView, at: number) => number | bigint>> = {
  u8: (view, at) => view.getUint8(at),
  u16: (view, at) => view.getUint16(at, true),
  u32: (view, at) => view.getUint32(at, true),
  s32: (view, at) => view.getInt32(at, true),
  u64: (view, at) => view.getBigUint64(at, true),
};

type Writer = (view: DataView, at: number, value: number | bigint) => void;

const writers: Readonly<Record<FieldKind, Writer>> = {
  u8: (view, at, value) => {
    view.setUint8(at, Number(BigInt.asUintN(8, BigInt(value))));
  },
  u16: (view, at, value) => {
    view.setUint16(at, Number(BigInt.asUintN(16, BigInt(value))), true);
  },
  u32: (view, at, value) => {
    view.setUint32(at, Number(BigInt.asUintN(32, BigInt(value))), true);
  },
  s32: (view, at, value) => {
    view.setInt32(at, Number(BigInt.asIntN(32, BigInt(value))), true);
  },
  u64: (view, at, value) => {
    view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
  },
};
