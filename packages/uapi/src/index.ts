/**
 * The structures, flags and ioctl numbers of Linux's vfio.h and iommufd.h: how their bytes lie, not what
 * the ioctls do.
 */
export {
  decodeStruct,
  encodeStruct,
  structLayout,
  type Field,
  type StructLayout,
  type StructValues,
} from './layout.ts';
export { STRUCT_FIELDS, type FieldKind, type StructName } from './structs.ts';
export {
  EXTENSIONS,
  FLAGS,
  flagText,
  INFO_CAPS,
  IOMMU_OPTION_OPS,
  IOMMU_OPTIONS,
  IOMMU_VFIO_IOAS_OPS,
  numberOfName,
  type FlaggedStruct,
} from './flags.ts';
export {
  ioctlCommands,
  ioctlNamed,
  ioctlNumber,
  ioctlsOf,
  type IoctlCommand,
  type IoctlFile,
} from './ioctls.ts';
export {
  decodeInfo,
  encodeInfo,
  type InfoCapability,
  type InfoValues,
  type IovaRangeValues,
} from './info-caps.ts';
