/** The machines on which random sequences run: what differs is the memory, and what it leads to. */
import { X86_64 } from '@pinfold/base';
import { DEFAULT_MACHINE, GUEST_IOMMU, type MachineDescription } from '@pinfold/guest';
import type { MemoryRange } from '@pinfold/mm';

/** A machine for random sequences. */
export interface SequenceMachine {
  /** Name, for the command line. */
  readonly name: string;
  /** What happens on it that does not on the others. */
  readonly summary: string;
  /** Its facts, as far as they are not those of the recordings' guest. */
  readonly facts: Partial<MachineDescription>;
  /** Share of 2 MiB blocks in which the kernel holds a page. */
  readonly fragmentation?: number;
  /** Address bits of its IOMMU. */
  readonly awBits: number;
}

const MIB = 2 ** 8;
/** First page frame above DMA32. */
const HIGH = 2 ** 20;

/** Ranges in MiB: start, length, and what is special. */
function ranges(
  ...list: readonly (readonly [number, number, Partial<MemoryRange>?])[]
): MemoryRange[] {
  return list.map(([start, length, special]) => ({
    ...{ pfn: start * MIB, npage: length * MIB },
    ...special,
  }));
}

const above4G = HIGH / MIB;
const mtHP = { 2: 'always', 4: 'always', 9: 'inherit' } as const;

/** Address bits of the IOMMU of the guest. */
const AW_BITS = 48;
/** An IOMMU of 39 address bits. */
const NARROW = { [GUEST_IOMMU]: { ...DEFAULT_MACHINE.iommus[GUEST_IOMMU], addressWidth: 39 } };

/** Pools of huge pages: some of 2 MiB, none of 1 GiB. */
function pools(pages: number): MachineDescription['hugepages'] {
  return { [X86_64.pmdOrder]: pages, [X86_64.pudOrder]: 0 };
}

function machine(
  name: string,
  summary: string,
  facts: Partial<MachineDescription>,
  fragmentation = 0,
): SequenceMachine {
  const { addressWidth = AW_BITS } = { ...facts.iommus?.[GUEST_IOMMU] };
  return { name, summary, facts, fragmentation, awBits: addressWidth };
}

/** All machines; the first is that of `pinfold run`. */
export const machines: readonly SequenceMachine[] = [
  machine('guest', 'the guest of the recordings: enough memory, nothing movable', {}),
  machine('zones', 'memory lies in ZONE_MOVABLE and CMA first, so that pins migrate it', {
    memory: ranges(
      ...([
        [0, 128],
        [128, 128, { cma: true }],
        [above4G, 128],
        [above4G + 128, 128, { zone: 'movable' }],
        [above4G + 256, 128, { cma: true }],
      ] as const),
    ),
    hugepages: pools(10),
  }),
  machine('tiny', 'memory runs out', {
    memory: ranges([0, 16 + 24]),
    hugepages: pools(2),
  }),
  machine('narrow', 'movable memory is plenty, and there is little to migrate it to', {
    memory: ranges([0, 16 + 12], [above4G, 128, { zone: 'movable' }]),
    hugepages: pools(1),
    iommus: NARROW,
  }),
  machine(
    'fragmented',
    'huge pages are rare and folios of every order are used; 39 address bits',
    {
      memory: ranges([0, 256], [above4G, 128, { zone: 'movable' }]),
      hugepages: pools(4),
      thp: { ...DEFAULT_MACHINE.thp, orders: mtHP, shmem: 'always' },
      iommus: NARROW,
    },
    0.5,
  ),
];

/**
 * Finds a machine.
 *
 * @param name its name
 * @returns the machine
 * @throws {Error} when there is none of that name
 */
export function machineNamed(name: string): SequenceMachine {
  const found = machines.find((candidate) => candidate.name === name);
  if (found) return found;
  throw new Error(`machine: expected ${machines.map((m) => m.name).join(', ')}, got '${name}'`);
}
