import {
  byteAddress,
  Counters,
  Errno,
  KernelError,
  pageNumber,
  PAGE_SIZE,
  parseSize,
  Slot,
} from '@pinfold/base';

// Bytes are bigints and exist at the edge only; inside, an address is the number of its page.
const iovaPn = pageNumber(0x1_0020_0000n);
const npage = parseSize('4M', '--size') / PAGE_SIZE;
console.log(`4M at page ${iovaPn}: ${npage} pages`);
console.log(`up to byte 0x${byteAddress(iovaPn + npage).toString(16)}`);

// Counters are slots of one typed array; a snapshot gives them names.
const counters = new Counters();
const before = counters.snapshot();
counters.add(Slot.pageFills, npage);
console.log(`pageFills: ${counters.since(before).pageFills}`);

// What the kernel refuses has the ioctl, the errno, the function that checked, and what it saw.
const saw = { lockedVmPages: 1536, chunkPages: 512, morePages: 1, limitPages: 2048 };
const error = new KernelError('VFIO_IOMMU_MAP_DMA', Errno.ENOMEM, 'vfio_pin_pages_remote', saw);
console.log(error.message);
