/**
 * A BAR of a PCI device as sysfs maps it (`/sys/bus/pci/devices/.../resourceN`): a pure pfn mapping
 * whose 4 KiB entries are all there from the start, and cannot be faulted in again.
 *
 * @source drivers/pci/mmap.c pci_mmap_resource_range, mm/memory.c remap_pfn_range, 6.16
 */
import {
  PTE,
  VM,
  VM_FAULT,
  type MmStruct,
  type PciBar,
  type Vma,
  type VmOperations,
} from '@pinfold/mm';

/** Aliases of the devices by their PCI addresses. */
const ALIASES: Readonly<Record<string, string>> = {
  '0000:00:04.0': 'edu',
  '0000:00:05.0': 'ivsh16',
  '0000:00:06.0': 'ivsh1g',
};
const RESOURCE = /^\/sys\/bus\/pci\/devices\/([^/]+)\/resource(\d)(?:_wc)?$/;

/**
 * The BAR that a file of sysfs stands for.
 *
 * @param path the file
 * @returns alias of the device and number of the BAR; undefined for any other file
 * @source Documentation/PCI/sysfs-pci.rst, 6.16; recordings README, "The guest"
 */
export function resourceOf(path: string): { dev: string; bar: number } | undefined {
  const [, address = '', bar] = RESOURCE.exec(path) ?? [];
  if (!Object.hasOwn(ALIASES, address)) return undefined;
  return { dev: ALIASES[address], bar: Number(bar) };
}

/** A BAR, mapped through sysfs. */
export class SysfsBar implements VmOperations {
  /** Kind of memory, for messages. */
  readonly name = 'BAR';
  /** A pure pfn mapping. */
  readonly anonymous = false;
  /** No file system that writes back. */
  readonly dirtyTracking = false;
  /** Cut anywhere. */
  readonly order = 0;
  readonly #bar: PciBar;

  /** @param bar the BAR */
  constructor(bar: PciBar) {
    this.#bar = bar;
  }

  mmap(mm: MmStruct, { start, end, flags, pgoff }: Vma): number {
    const bits = PTE.present | PTE.special | (flags & VM.WRITE ? PTE.write : 0);
    const pfn = this.#bar.pfn + pgoff;
    for (let vpn = start; vpn < end; vpn++) mm.pageTable.setEntry(vpn, pfn + vpn - start, 0, bits);
    return 0;
  }

  fault(): number {
    return VM_FAULT.SIGBUS;
  }
}
