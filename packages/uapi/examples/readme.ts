import { decodeStruct, encodeStruct, flagText, ioctlsOf, structLayout } from '@pinfold/uapi';

// What a tracer sees: a command, and the bytes that its argument points to.
const [get, map] = [0x3b70, 0x3b71].map((command) => ioctlsOf(command, 'type1')[0]);
console.log(get?.name, map?.name, map?.struct);

const bytes = encodeStruct('vfio_iommu_type1_dma_map', {
  flags: 3,
  vaddr: 0x7f31_0000_0000n,
  size: 0xa_0000n,
});
const { argsz, flags, vaddr, size } = decodeStruct('vfio_iommu_type1_dma_map', bytes);
console.log(argsz, flagText('vfio_iommu_type1_dma_map', flags), vaddr.toString(16), size);

for (const { name, kind, offset } of structLayout('iommu_option').fields) {
  console.log(`${offset} ${kind} ${name}`);
}
