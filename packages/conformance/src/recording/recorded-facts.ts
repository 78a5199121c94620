/**
 * The facts of the machine that a recording was made on.
 *
 * @source recordings README, "The guest"
 */
import { InputError, pageNumber, parseSize, type PageGeometry, type Pfn } from '@pinfold/base';
import {
  DEFAULT_MACHINE,
  GUEST_IOMMU,
  guestDevices,
  guestGeometry,
  guestIommu,
  guestMemory,
  type DeviceDescription,
  type IommuDescription,
  type MachineDescription,
} from '@pinfold/guest';
import {
  SHMEM_ENABLED,
  thpDefaults,
  THP_ENABLED,
  type MemoryRange,
  type ThpEnabled,
  type ThpSettings,
} from '@pinfold/mm';
import { evaluate, parseExpression, type Regions } from '@pinfold/scenario';
import type { Recording } from './recording.ts';

const NO_REGIONS: Regions = new Map();

/**
 * The facts of the machine that a recording was made on.
 *
 * @param recording the recording
 * @param place its name, for messages
 * @returns memory, address width, bus addresses of BARs, zero pages, settings and limits
 * @throws {InputError} when a fact cannot be understood
 * @source recordings README, "Recording format" (`mem`, `aw_bits`, `guest`, `bar_phys`)
 */
export function factsOfRecording(recording: Recording, place: string): MachineDescription {
  const { guest } = recording;
  const start = recording.runs.find((run) => run.start_state)?.start_state;
  const zero = zeroPages(recording);
  const iommu = iommuOf(recording.iommu_device);
  const geometry = guestGeometry(iommu.kind);
  const memory = guestMemory(parseSize(recording.mem, `${place}: mem`), iommu.kind);
  return {
    memory,
    geometry,
    totalRam: Math.floor((guest.mem_total_kb * 1024) / geometry.pageSize),
    iommus: { [GUEST_IOMMU]: { ...iommu, addressWidth: recording.aw_bits } },
    devices: devicesOf(recording, memory, geometry),
    zeroPfn: zero.small ?? DEFAULT_MACHINE.zeroPfn,
    hugeZeroPfn: zero.huge ?? DEFAULT_MACHINE.hugeZeroPfn,
    // Without the module's parameters there is no type1.
    container: guest.dma_entry_limit === null ? 'iommufd' : 'type1',
    opensDevices: recording.runs.some(({ steps }) =>
      steps.some((step) => step.device_opened === true),
    ),
    // The program of the recordings with other IOMMUs has one variable for its child.
    remembersOneChild: recording.iommu_device !== undefined,
    thp: {
      ...thpDefaults(geometry),
      enabled: selectedWord(guest.thp_enabled, `${place}: guest.thp_enabled`),
      shmem: shmemWord(guest.shmem_thp, `${place}: guest.shmem_thp`),
    },
    params: {
      disableHugepages: guest.disable_hugepages === 'Y',
      dmaEntryLimit: Number(guest.dma_entry_limit ?? DEFAULT_MACHINE.params.dmaEntryLimit),
    },
    hugepages: {
      [geometry.pmdOrder]: Number(guest.hugepages_2m),
      [geometry.pudOrder]: Number(guest.hugepages_1g),
    },
    memlock: start?.memlock === null ? Infinity : (start?.memlock ?? DEFAULT_MACHINE.memlock),
  };
}

/**
 * The word in brackets of a sysfs file such as `[always] madvise never`.
 *
 * @param text the file, or one word alone
 * @param place where it stands, for messages
 * @returns the word
 * @throws {InputError} when it is no setting of transparent huge pages
 * @source Documentation/admin-guide/mm/transhuge.rst, 6.16
 */
function selectedWord(text: string, place: string): ThpEnabled {
  const word = /\[(\w+)\]/.exec(text)?.[1] ?? text.trim();
  const found = THP_ENABLED.find((known) => known === word);
  if (found) return found;
  throw new InputError(place, 'always, madvise or never', `'${text}'`);
}

/**
 * The word in brackets of shmem_enabled.
 *
 * @param text the file, or one word alone
 * @param place where it stands, for messages
 * @returns the word
 * @throws {InputError} when it is no setting of huge pages of shmem
 * @source Documentation/admin-guide/mm/transhuge.rst, 6.16
 */
function shmemWord(text: string, place: string): ThpSettings['shmem'] {
  const word = /\[(\w+)\]/.exec(text)?.[1] ?? text.trim();
  const found = SHMEM_ENABLED.find((known) => known === word);
  if (found) return found;
  throw new InputError(place, SHMEM_ENABLED.join(', '), `'${text}'`);
}

/** The IOMMU that QEMU was told to emulate. */
function iommuOf(device = ''): IommuDescription {
  if (device.startsWith('amd-iommu')) return guestIommu('amd', device.includes('npcache=1'));
  return guestIommu(device.startsWith('smmuv3') ? 'smmuv3' : 'intel-vtd');
}

/** The devices, with the bus addresses that the recording shows. */
function devicesOf(
  recording: Recording,
  memory: readonly MemoryRange[],
  geometry: PageGeometry,
): Record<string, DeviceDescription> {
  const { pageShift } = geometry;
  const devices = guestDevices(memory, geometry);
  for (const step of recording.runs.flatMap(({ steps }) => steps)) {
    const dev = /\bdev=(\w+)/.exec(step.line)?.[1];
    const bar = /\bbar=(\d)/.exec(step.line)?.[1];
    if (!dev || !bar || step.bar_phys === undefined) continue;
    const off = /\boff=(\S+)/.exec(step.line)?.[1] ?? '0';
    const offset = evaluate(parseExpression(off, step.line), NO_REGIONS, step.line);
    const size = step.region_info?.size ?? step.size ?? '0x0';
    const facts = {
      bar: Number(bar),
      // What is shown is where the region lies, behind its offset in the BAR.
      pfn: pageNumber(BigInt(step.bar_phys) - offset, pageShift),
      npage: pageNumber(BigInt(size), pageShift),
    };
    const device: DeviceDescription | undefined = devices[dev];
    const iommu = device?.iommu ?? GUEST_IOMMU;
    const others = (device?.bars ?? []).filter((known) => known.bar !== facts.bar);
    devices[dev] = { iommu, bars: [...others, facts] };
  }
  return devices;
}

/** Where the zero pages lie, if any region shows them. */
function zeroPages(recording: Recording): { small?: Pfn; huge?: Pfn } {
  const found: { small?: Pfn; huge?: Pfn } = {};
  for (const { steps } of recording.runs) {
    for (const extent of steps.flatMap(({ layout }) => Object.values(layout ?? {}).flat())) {
      const [, pfn, , order, flags] = extent;
      if (!flags.includes('z')) continue;
      if (order === 0) found.small = pfn;
      else found.huge = pfn - (pfn % 2 ** order);
    }
  }
  return found;
}
