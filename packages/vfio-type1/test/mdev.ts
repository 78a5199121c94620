/** A container with emulated devices: what the tests of external pins start from. */
import { intelVtd } from '@pinfold/iommu';
import {
  MemMap,
  Memory,
  mmapMemory,
  mmapPfnmap,
  MmStruct,
  PageContents,
  PrescribedLayout,
  Task,
} from '@pinfold/mm';
import {
  NO_PAGE,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  VfioContainer,
  type EmulatedGroup,
  type IommuGroup,
  type Type1Rules,
  type VfioDevice,
  type VfioIommu,
} from '../src/index.ts';
import { BAR, bytes, PFN, SECTION, VPN } from './guest.ts';
import { RUNS, type TestKernel } from './kernels.ts';

/** First I/O virtual page that {@link Mdev.map} uses. */
export const IOVA = 256;
/** Pages of memory and of the mapping, unless told otherwise. */
export const NPAGE = 16;
const RW = 3;

/** A device, alone in its group, which remembers nothing: a test says what it does when told. */
export class TestDevice implements VfioDevice {
  readonly name: string;
  readonly group: EmulatedGroup;
  /** Notifications as [device, first page, pages]. */
  readonly log: [string, number, number][];
  /** What it does when it is told. */
  onUnmap: () => void = () => undefined;

  constructor(name: string, log: [string, number, number][]) {
    this.name = name;
    this.group = { emulated: true, name };
    this.log = log;
  }

  dmaUnmap(iova: bigint, size: bigint): void {
    this.log.push([this.name, Number(iova / 4096n), Number(size / 4096n)]);
    this.onUnmap();
  }
}

/** How the machine differs from the usual one. */
export interface MdevOptions {
  readonly kernel?: TestKernel;
  readonly v2?: boolean;
  /** RLIMIT_MEMLOCK in pages; default unlimited. */
  readonly memlockPages?: number;
  readonly capIpcLock?: boolean;
  readonly type1?: Partial<Type1Rules>;
}

/** One process with memory, one container with one open emulated device. */
export class Mdev {
  readonly memory: Memory;
  readonly mm: MmStruct;
  readonly task: Task;
  readonly container: VfioContainer;
  readonly device: TestDevice;
  /** A group behind an IOMMU, which is not in the container. */
  readonly nic: IommuGroup = { name: 'nic', unit: intelVtd() };
  /** Notifications of all devices. */
  readonly log: [string, number, number][] = [];

  constructor(options: MdevOptions = {}) {
    const { kernel = RUNS, v2 = true, memlockPages = Infinity, capIpcLock = false } = options;
    this.memory = new Memory(new MemMap([{ pfn: SECTION, npage: 2 * SECTION }]), kernel.mm);
    this.memory.contents = new PageContents(this.memory.memmap.geometry.pageSize);
    this.mm = new MmStruct(this.memory);
    this.task = new Task(this.mm, memlockPages * 4096, capIpcLock);
    const { type1 = {} } = options;
    this.container = new VfioContainer({ kernel, memory: this.memory, type1 });
    this.device = new TestDevice('first', this.log);
    this.container.addGroup(this.device.group);
    this.container.setIommu(v2 ? VFIO_TYPE1v2_IOMMU : VFIO_TYPE1_IOMMU);
    this.container.openDevice(this.device);
    this.mmap();
  }

  get iommu(): VfioIommu {
    return this.container.iommu;
  }

  /** One more open device. */
  addDevice(name: string): TestDevice {
    const device = new TestDevice(name, this.log);
    this.container.addGroup(device.group);
    this.container.openDevice(device);
    return device;
  }

  /** Maps small pages; their frames are not consecutive. */
  mmap(vpn = VPN, npage = NPAGE): this {
    const layout = Array.from({ length: npage }, (_, i) => ({
      ...{ vpn: vpn + i, pfn: PFN + (vpn - VPN) * 2 + 2 * i, npage: 1, order: 0 },
    }));
    const frames = new PrescribedLayout(layout);
    mmapMemory(this.mm, { vpn, npage, kind: 'anon', order: 0, frames });
    return this;
  }

  /** Maps device memory. */
  mmapBar(vpn: number, npage: number): this {
    mmapPfnmap(this.mm, { vpn, pfn: BAR, npage });
    return this;
  }

  /** VFIO_IOMMU_MAP_DMA in pages; throws if it fails. */
  map(iovaPn = IOVA, npage = NPAGE, vpn = VPN, flags = RW): this {
    const range = { iova: bytes(iovaPn), size: bytes(npage), vaddr: bytes(vpn) };
    this.container.mapDma(this.task, { ...range, flags });
    return this;
  }

  /** vfio_pin_pages at a byte address; returns the number of pages or a negative errno. */
  pinAt(iova: bigint, npage = 1, prot = RW, device: VfioDevice = this.device): number {
    return this.container.tryPinPages(device, iova, npage, prot, new Array(npage).fill(NO_PAGE));
  }

  /** vfio_pin_pages in pages. */
  pin(iovaPn: number, npage = 1, prot = RW, device: VfioDevice = this.device): number {
    return this.pinAt(bytes(iovaPn), npage, prot, device);
  }

  /** vfio_unpin_pages in pages. */
  unpin(iovaPn: number, npage = 1): void {
    this.container.unpinPages(this.device, bytes(iovaPn), npage);
  }

  /** Makes a device give pages back when it is told. */
  releaseOnUnmap(iovaPn: number, npage = 1, device: TestDevice = this.device): void {
    device.onUnmap = () => {
      this.container.unpinPages(device, bytes(iovaPn), npage);
    };
  }

  /** [pins held, locked_vm]. */
  get held(): [pins: number, lockedVm: number] {
    return [this.memory.vmstat.pinsHeld, this.mm.lockedVm];
  }

  /** Nodes as [page, offset, references], of all mappings. */
  get nodes(): number[][] {
    return [...this.iommu.dmaList].flatMap(({ pfnList }) =>
      [...pfnList].map(({ iovaPn, offset, refCount }) => [iovaPn, offset, refCount]),
    );
  }
}
