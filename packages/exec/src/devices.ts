/**
 * The devices of the machine as a program finds them: PCI addresses, groups, configuration space and
 * BARs, and the files of /sys and /dev that lead to them.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { byteAddress, PAGE_SIZE } from '@pinfold/base';
import { unitsOf, type MachineDescription } from '@pinfold/guest';
import type { IommuUnit } from '@pinfold/iommu';

/** A BAR of a device. */
export interface ExecBar {
  /** The file that is its memory. */
  readonly path: string;
  /** That file, open. */
  readonly fd: number;
  /** Its length in bytes. */
  readonly bytes: number;
}

/** A device of the machine. */
export interface ExecDevice {
  /** What scenarios call it. */
  readonly alias: string;
  /** PCI address, such as `0000:00:04.0`. */
  readonly address: string;
  /** Number of its group. */
  readonly group: number;
  /** Its configuration space. */
  readonly config: Buffer;
  /** Its BARs by number. */
  readonly bars: ReadonlyMap<number, ExecBar>;
  /** Files of it that are open. */
  files: number;
}

/** Slot of the first device on the bus, as in the guest of the recordings. */
const FIRST_SLOT = 4;
const CONFIG_BYTES = 256;
/** Vendor and device of what the guest of the recordings has; any other is a virtio one by its look. */
const IDS: Readonly<Record<string, readonly [vendor: number, device: number]>> = {
  edu: [0x1234, 0x11e8],
};
const IVSHMEM = [0x1af4, 0x1110] as const;
const CLASS_OTHER = 0x00ff00;
const COMMAND_MEMORY = 2;
/** Offset of BAR 0, number of the last BAR, and the bit of a 64-bit one. */
const [BAR_0, LAST_BAR, BAR_64BIT] = [0x10, 5, 4];

/**
 * Makes the devices, and a tree of files that leads to them.
 *
 * @param machine the machine
 * @param root folder of the tree
 * @returns the devices
 */
export function makeDevices(machine: MachineDescription, root: string): ExecDevice[] {
  const units = unitsOf(machine.iommus);
  const devices = Object.entries(machine.devices).map(([alias, { bars }], i): ExecDevice => {
    const address = `0000:00:${(FIRST_SLOT + i).toString(16).padStart(2, '0')}.0`;
    const files = bars.map(({ bar, pfn, npage }) => {
      const path = join(root, `.bar-${alias}-${bar}`);
      const fd = openSync(path, 'w+');
      ftruncateSync(fd, npage * PAGE_SIZE);
      return [bar, { path, fd, bytes: npage * PAGE_SIZE, pfn }] as const;
    });
    const config = configSpace(
      alias,
      files.map(([bar, { pfn }]) => [bar, byteAddress(pfn)]),
    );
    return { alias, address, group: i + 1, config, bars: new Map(files), files: 0 };
  });
  for (const device of devices) {
    const unit = units.get(machine.devices[device.alias]?.iommu ?? '');
    if (unit) makeDeviceFiles(root, device, unit);
  }
  makeCommonFiles(root);
  return devices;
}

/**
 * Closes the files of the BARs.
 *
 * @param devices the devices
 */
export function closeDevices(devices: readonly ExecDevice[]): void {
  for (const { bars } of devices) for (const { fd } of bars.values()) closeSync(fd);
}

function configSpace(alias: string, bars: readonly (readonly [number, bigint])[]): Buffer {
  const config = Buffer.alloc(CONFIG_BYTES);
  const [vendor, device] = IDS[alias] ?? IVSHMEM;
  config.writeUInt16LE(vendor, 0);
  config.writeUInt16LE(device, 2);
  config.writeUInt16LE(COMMAND_MEMORY, 4);
  config.writeUInt32LE(CLASS_OTHER << 8, 8);
  for (const [bar, address] of bars) {
    // A 64-bit BAR has its upper half in the next register.
    const is64 = address > 0xffffffffn && bar < LAST_BAR;
    config.writeUInt32LE(Number(address & 0xfffffff0n) + (is64 ? BAR_64BIT : 0), BAR_0 + 4 * bar);
    if (is64) config.writeUInt32LE(Number(address >> 32n), BAR_0 + 4 * bar + 4);
  }
  return config;
}

function makeDeviceFiles(root: string, device: ExecDevice, unit: IommuUnit): void {
  const { address, group, config } = device;
  const pci = join(root, 'sys/devices/pci0000:00', address);
  const groupFolder = join(root, 'sys/kernel/iommu_groups', String(group));
  const hex = (n: number, digits: number): string => `0x${n.toString(16).padStart(digits, '0')}\n`;
  const files: Readonly<Record<string, string | Buffer>> = {
    vendor: hex(config.readUInt16LE(0), 4),
    device: hex(config.readUInt16LE(2), 4),
    class: hex(CLASS_OTHER, 6),
    subsystem_vendor: hex(config.readUInt16LE(0), 4),
    subsystem_device: hex(config.readUInt16LE(2), 4),
    revision: '0x00\n',
    numa_node: '-1\n',
    enable: '1\n',
    irq: '0\n',
    driver_override: 'vfio-pci\n',
    modalias: '\n',
    uevent: `DRIVER=vfio-pci\nPCI_SLOT_NAME=${address}\n`,
    reset: '',
    resource: resourceText(device),
    config,
  };
  for (const [name, content] of Object.entries(files)) put(join(pci, name), content);
  link(join(pci, 'iommu_group'), groupFolder);
  link(join(pci, 'driver'), join(root, 'sys/bus/pci/drivers/vfio-pci'));
  link(join(pci, 'subsystem'), join(root, 'sys/bus/pci'));
  link(join(root, 'sys/bus/pci/devices', address), pci);
  link(join(root, 'sys/bus/pci/drivers/vfio-pci', address), pci);
  link(join(groupFolder, 'devices', address), pci);
  put(join(groupFolder, 'type'), 'DMA\n');
  put(join(groupFolder, 'reserved_regions'), reservedText(unit));
  const cdev = `vfio${group - 1}`;
  put(join(pci, 'vfio-dev', cdev, 'uevent'), `DEVNAME=vfio/devices/${cdev}\n`);
  put(join(pci, 'vfio-dev', cdev, 'dev'), `511:${group - 1}\n`);
  put(join(root, 'dev/vfio', String(group)), '');
  put(join(root, 'dev/vfio/devices', cdev), '');
}

function makeCommonFiles(root: string): void {
  put(join(root, 'dev/vfio/vfio'), '');
  put(join(root, 'dev/iommu'), '');
  const parameters = join(root, 'sys/module/vfio_iommu_type1/parameters');
  put(join(parameters, 'dma_entry_limit'), '65535\n');
  put(join(parameters, 'disable_hugepages'), 'N\n');
  put(join(parameters, 'allow_unsafe_interrupts'), 'N\n');
  mkdirSync(join(root, 'sys/module/vfio'), { recursive: true });
  mkdirSync(join(root, 'sys/module/vfio_pci'), { recursive: true });
  mkdirSync(join(root, 'sys/class/iommu/dmar0'), { recursive: true });
}

/** A line for each of a device's regions: first address, last address, flags. */
function resourceText({ bars }: ExecDevice): string {
  const line = (bar: number): string => {
    const bytes = bars.get(bar)?.bytes ?? 0;
    const last = bytes === 0 ? 0 : bytes - 1;
    return [0, last, bytes === 0 ? 0 : 0x40200].map(wide).join(' ');
  };
  return `${Array.from({ length: 13 }, (_, bar) => line(bar)).join('\n')}\n`;
}

/** The text of reserved_regions: first and last address in hexadecimal, and the type. */
function reservedText({ resvRegions }: IommuUnit): string {
  const page = BigInt(PAGE_SIZE);
  return resvRegions
    .map(({ start, last, type }) => {
      const end = byteAddress(last) + page - 1n;
      return `0x${byteAddress(start).toString(16).padStart(16, '0')} 0x${end.toString(16).padStart(16, '0')} ${type}\n`;
    })
    .join('');
}

function wide(n: number): string {
  return `0x${n.toString(16).padStart(16, '0')}`;
}

function put(path: string, content: string | Buffer): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

function link(path: string, target: string): void {
  mkdirSync(dirname(path), { recursive: true });
  mkdirSync(target, { recursive: true });
  symlinkSync(relative(dirname(path), target), path);
}
