/**
 * Faults on demand: of the next step, the n-th frame that is asked for, the n-th look-up of GUP, the
 * n-th call of the IOMMU driver, charge, allocation or page fault fails.
 */
import { Errno } from '@pinfold/base';
import type { IommuUnit, IoPageTable } from '@pinfold/iommu';
import { VM, type InjectedFailures, type Memory, type MmStruct, type Vma } from '@pinfold/mm';
import type { VfioContainer } from '@pinfold/vfio-type1';

/**
 * What can fail: a frame that is asked for, GUP of a page, the IOMMU driver's map of some pages, the
 * wait for the lock of a charge, an allocation of VFIO's own, a page fault that GUP takes.
 */
export const FAULT_KINDS = ['frame', 'gup', 'map', 'lock', 'alloc', 'fault'] as const;

/** Kind of a fault. */
export type FaultKind = (typeof FAULT_KINDS)[number];

/** A fault: which call of its kind fails, from 1. */
export interface StepFault {
  /** What fails. */
  readonly what: FaultKind;
  /** Which call of the step. */
  readonly n: number;
}

/** Takes a fault's wrapping away. */
type Undo = () => void;

/** The parts of a machine in which calls can fail. */
export interface FaultyParts {
  /** Its memory. */
  readonly memory: Memory;
  /** The open containers. */
  readonly containers: readonly VfioContainer[];
  /** The IOMMUs, on which domains may come during the step. */
  readonly units: readonly IommuUnit[];
}

/** A fault that is armed. */
export interface ArmedFault {
  /** Takes it away, whether it has happened or not. */
  readonly undo: Undo;
  /** Whether it has happened. */
  readonly fired: boolean;
}

/**
 * Lets one call fail until it is undone.
 *
 * @param fault which call
 * @param parts where it is
 * @returns the fault
 */
export function armFault(fault: StepFault, parts: FaultyParts): ArmedFault {
  let left = fault.n;
  const undo = wrap(fault, parts, () => --left === 0);
  return {
    undo,
    get fired() {
      return left <= 0;
    },
  };
}

function wrap(
  { what }: StepFault,
  { memory, containers, units }: FaultyParts,
  fires: () => boolean,
): Undo {
  switch (what) {
    case 'frame':
      return failFrame(memory, fires);
    case 'gup':
      return together([...memory.addressSpaces].map((mm) => failGup(mm, fires)));
    case 'map':
      return failMaps(containers, units, fires);
    case 'lock':
    case 'alloc':
    case 'fault':
      return failInside(memory, what, fires);
  }
}

const never = (): boolean => false;

/** Calls that ask themselves whether they are to fail. */
function failInside(memory: Memory, what: keyof InjectedFailures, fires: () => boolean): Undo {
  memory.injected = { lock: never, alloc: never, fault: never, [what]: fires };
  return () => {
    memory.injected = null;
  };
}

/** Of the domains that are there, and of those that come. */
function failMaps(
  containers: readonly VfioContainer[],
  units: readonly IommuUnit[],
  fires: () => boolean,
): Undo {
  const domains = containers.flatMap((one) =>
    one.hasIommu ? one.iommu.domainList.map(({ domain }) => domain) : [],
  );
  const undos = domains.map(({ table }) => failMap(table, fires));
  for (const unit of units)
    unit.domainAllocated = ({ table }) => void undos.push(failMap(table, fires));
  return () => {
    for (const unit of units) delete unit.domainAllocated;
    together(undos)();
  };
}

function together(undos: readonly Undo[]): Undo {
  return () => {
    for (const undo of undos) undo();
  };
}

function failFrame(memory: Memory, fires: () => boolean): Undo {
  const { frames } = memory;
  if (frames === null) return () => undefined;
  memory.frames = {
    framesFor: (vpn, npage, order, out, pageFlags) => {
      if (fires()) out.pfn = -1;
      else frames.framesFor(vpn, npage, order, out, pageFlags);
    },
    framesFreed: (pfn, order, pageFlags) => frames.framesFreed?.(pfn, order, pageFlags),
  };
  return () => {
    memory.frames = frames;
  };
}

/** Every GUP call begins with a look at the VMA of its first page: once there is none. */
function failGup({ vmas }: MmStruct, fires: () => boolean): Undo {
  const lookup = vmas.lookup.bind(vmas);
  vmas.lookup = (vpn): Vma | null => {
    const vma = lookup(vpn);
    return !vma?.ops || vma.flags & VM.PFNMAP || !fires() ? vma : null;
  };
  return () => {
    Reflect.deleteProperty(vmas, 'lookup');
  };
}

/** The call that fails has mapped half of its pages. */
function failMap(table: IoPageTable, fires: () => boolean): Undo {
  const mapPages = table.mapPages.bind(table);
  // Whoever maps many leaves in one loop is to make its calls one by one.
  table.mapLeaves = () => 0;
  table.mapPages = (iovaPn, pfn, order, count, prot): number => {
    if (!fires()) return mapPages(iovaPn, pfn, order, count, prot);
    const half = Math.floor(count / 2);
    if (half > 0) mapPages(iovaPn, pfn, order, half, prot);
    else Object.assign(table, { mapped: 0 });
    return -Errno.ENOMEM;
  };
  return () => {
    Reflect.deleteProperty(table, 'mapPages');
    Reflect.deleteProperty(table, 'mapLeaves');
  };
}
