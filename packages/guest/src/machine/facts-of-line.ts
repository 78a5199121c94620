/** A machine from what a `machine` line or a host file says of it. */
import { formatSize, InputError, pageNumber, type PageGeometry } from '@pinfold/base';
import { iommuKind } from '@pinfold/iommu';
import { SHMEM_ENABLED, THP_ENABLED, type MemoryRange } from '@pinfold/mm';
import type { MachineBar, MachineLine } from '@pinfold/scenario';
import {
  GUEST_IOMMU,
  guestDevices,
  guestGeometry,
  guestIommu,
  guestMemory,
  type DeviceDescription,
  type MachineDescription,
} from './machine-description.ts';

/** Device whose BAR `bar=` of a `machine` line places. */
const BAR_DEVICE = 'ivsh16';
const BAR_NUMBER = 2;
const GIB = 2 ** 30;
/** What is in the BARs' way below: the PCI hole of a PC ends at 4 GiB. */
const ABOVE_HOLE = 4 * GIB;

type Devices = Readonly<Record<string, DeviceDescription>>;

/**
 * The facts that a line changes.
 *
 * @param line what it says
 * @param facts the facts of the machine without it
 * @returns the facts to replace
 * @throws {InputError} when it says what no machine of the model can have
 */
export function factsOfLine(
  line: MachineLine,
  facts: MachineDescription,
): Partial<MachineDescription> {
  const { model, iommu, aw, resv, memlock, capIpcLock } = line;
  const old = facts.iommus[GUEST_IOMMU];
  const kind = iommu === undefined ? old.kind : iommuKind(iommu, 'machine: iommu').name;
  const geometry = iommu === undefined ? facts.geometry : guestGeometry(kind);
  checkPage(line, geometry);
  const memory =
    line.memory ?? (line.bytes === undefined ? undefined : guestMemory(line.bytes, kind));
  const addressWidth = aw ?? old.addressWidth;
  const devices = devicesOf(line, facts, memory, geometry);
  return {
    ...(memory && { memory }),
    ...(devices !== facts.devices && { devices }),
    ...(model && { memoryModel: model }),
    ...(line.groups && { hostDriven: hostDrivenOf(line) }),
    ...((iommu !== undefined || aw !== undefined || resv) && {
      geometry,
      iommus: {
        [GUEST_IOMMU]: {
          ...(iommu === undefined ? old : guestIommu(kind)),
          ...(addressWidth !== undefined && { addressWidth }),
          ...(resv && { resvRegions: resv.map((range) => ({ type: 'reserved', ...range })) }),
        },
      },
    }),
    ...poolsOf(line, facts, geometry),
    ...thpOf(line, facts),
    ...paramsOf(line, facts),
    ...(memlock !== undefined && { memlock }),
    ...(capIpcLock !== undefined && { privileged: capIpcLock }),
  };
}

/** The page size of a machine is that of its architecture. */
function checkPage({ page }: MachineLine, { pageSize, name }: PageGeometry): void {
  if (page === undefined || page === pageSize) return;
  throw new InputError(
    'machine: page',
    `${formatSize(pageSize)}, the page size of the ${name} machine that the IOMMU is of`,
    `'${formatSize(page)}'`,
  );
}

function devicesOf(
  line: MachineLine,
  facts: MachineDescription,
  memory: readonly MemoryRange[] | undefined,
  geometry: PageGeometry,
): Devices {
  // The firmware puts BARs where no memory is.
  const moved = memory && meets(memory, facts);
  const devices = moved ? guestDevices(memory, geometry) : facts.devices;
  const named = withGroups(line, devices);
  const sized = line.bars ? withBars(line.bars, named, memory ?? facts.memory, geometry) : named;
  if (!line.bar) return sized;
  const { pfn, npage } = line.bar;
  const bars = [{ bar: BAR_NUMBER, pfn, npage }];
  return { ...sized, [BAR_DEVICE]: { ...sized[BAR_DEVICE], iommu: GUEST_IOMMU, bars } };
}

/** Whether memory lies where a BAR does. */
function meets(memory: readonly MemoryRange[], { devices }: MachineDescription): boolean {
  const bars = Object.values(devices).flatMap((device) => device.bars);
  return bars.some((bar) =>
    memory.some(({ pfn, npage }) => pfn < bar.pfn + bar.npage && bar.pfn < pfn + npage),
  );
}

/** The devices, in the groups that the line has. */
function withGroups({ groups }: MachineLine, devices: Devices): Devices {
  if (!groups) return devices;
  const all: Record<string, DeviceDescription> = { ...devices };
  for (const { name: group, devices: names } of groups) {
    const noIommu = group.startsWith('noiommu');
    for (const name of names) {
      const known: DeviceDescription | undefined = all[name];
      const { iommu, bars } = known ?? { iommu: GUEST_IOMMU, bars: [] };
      all[name] = { iommu, bars, group, ...(noIommu && { noIommu }) };
    }
  }
  return all;
}

function hostDrivenOf({ groups = [] }: MachineLine): Record<string, readonly string[]> {
  return Object.fromEntries(groups.map(({ name, hostDriven }) => [name, hostDriven]));
}

/** Gives devices BARs: those without an address lie above all memory, the largest first, each aligned. */
function withBars(
  wanted: readonly MachineBar[],
  devices: Devices,
  memory: readonly MemoryRange[],
  { pageSize, pageShift }: PageGeometry,
): Devices {
  const all: Record<string, DeviceDescription> = { ...devices };
  const isGiven = (dev: string, bar: number): boolean =>
    wanted.some((one) => one.dev === dev && one.bar === bar);
  const ends = [
    ABOVE_HOLE,
    ...memory.map(({ pfn, npage }) => (pfn + npage) * pageSize),
    ...Object.entries(devices).flatMap(([dev, { bars }]) =>
      bars
        .filter(({ bar }) => !isGiven(dev, bar))
        .map(({ pfn, npage }) => (pfn + npage) * pageSize),
    ),
  ];
  let free = Math.max(...ends);
  for (const { dev, bar, bytes, address } of [...wanted].sort((a, b) => b.bytes - a.bytes)) {
    const start = address ?? Math.ceil(free / bytes) * bytes;
    if (address === undefined) free = start + bytes;
    const known: DeviceDescription | undefined = all[dev];
    const { iommu, bars, ...rest } = known ?? { iommu: GUEST_IOMMU, bars: [] };
    const others = bars.filter((one) => one.bar !== bar);
    const placed = {
      bar,
      pfn: pageNumber(BigInt(start), pageShift),
      npage: pageNumber(BigInt(bytes), pageShift),
    };
    all[dev] = { ...rest, iommu, bars: [...others, placed] };
  }
  return all;
}

function poolsOf(
  { hugepages, pools }: MachineLine,
  facts: MachineDescription,
  geometry: PageGeometry,
): Partial<MachineDescription> {
  if (hugepages !== undefined)
    return { hugepages: { [geometry.pmdOrder]: hugepages, [geometry.pudOrder]: 0 } };
  if (!pools) return {};
  const orders = pools.map(({ pageBytes, pages }): [number, number] => {
    const order = Math.log2(pageBytes / geometry.pageSize);
    if (order === geometry.pmdOrder || order === geometry.pudOrder) return [order, pages];
    const known = [geometry.pmdOrder, geometry.pudOrder].map((one) =>
      formatSize(2 ** one * geometry.pageSize),
    );
    throw new InputError(
      'machine: pool',
      `a pool of ${known.join(' or ')}`,
      `'${formatSize(pageBytes)}'`,
    );
  });
  return { hugepages: { ...facts.hugepages, ...Object.fromEntries(orders) } };
}

function thpOf(
  { thp, shmem }: MachineLine,
  facts: MachineDescription,
): Partial<MachineDescription> {
  if (thp === undefined && shmem === undefined) return {};
  return {
    thp: {
      ...facts.thp,
      ...(thp !== undefined && { enabled: oneOf(thp, THP_ENABLED, 'machine: thp') }),
      ...(shmem !== undefined && { shmem: oneOf(shmem, SHMEM_ENABLED, 'machine: shmem') }),
    },
  };
}

function oneOf<Word extends string>(word: string, words: readonly Word[], place: string): Word {
  const found = words.find((one) => one === word);
  if (found !== undefined) return found;
  throw new InputError(place, words.join(', '), `'${word}'`);
}

/** Parameters of vfio_iommu_type1 and vfio: those of the model, and those that change nothing in it. */
const PARAMS = [
  'dma_entry_limit',
  'disable_hugepages',
  'enable_unsafe_noiommu_mode',
  'allow_unsafe_interrupts',
] as const;

function paramsOf({ params }: MachineLine, facts: MachineDescription): Partial<MachineDescription> {
  if (!params) return {};
  for (const name of Object.keys(params)) oneOf(name, PARAMS, 'machine: param');
  const { dma_entry_limit: limit } = params;
  const isOn = (name: (typeof PARAMS)[number]): boolean | undefined => {
    const value: string | undefined = params[name];
    if (value === undefined) return undefined;
    if (/^[yn01]$/i.test(value)) return /[y1]/i.test(value);
    throw new InputError(`machine: param.${name}`, 'Y or N', `'${value}'`);
  };
  if (limit !== undefined && !/^\d{1,10}$/.test(limit))
    throw new InputError('machine: param.dma_entry_limit', 'a number', `'${limit}'`);
  const noiommu = isOn('enable_unsafe_noiommu_mode');
  return {
    params: {
      ...facts.params,
      ...(limit !== undefined && { dmaEntryLimit: Number(limit) }),
      disableHugepages: isOn('disable_hugepages') ?? facts.params.disableHugepages,
      ...(noiommu !== undefined && { enableUnsafeNoiommuMode: noiommu }),
    },
  };
}
