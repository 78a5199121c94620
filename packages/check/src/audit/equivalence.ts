/** Comparing two machines that did the same with different pin algorithms. */
import { byteAddress, Errno, errnoName, pagesOf } from '@pinfold/base';
import { type Done, iommusOf, type MachineView } from '@pinfold/guest';
import { LeafRun, type IommuDomain } from '@pinfold/iommu';
import { hex, hexPages } from '@pinfold/scenario';
import type { VfioDma, VfioIommu } from '@pinfold/vfio-type1';

/** A machine after a step. */
export interface SteppedMachine {
  /** Its state. */
  readonly view: MachineView;
  /** What the step returned and showed. */
  readonly done: Done;
}

/** What a step shows that does not follow from the state after it. */
const SHOWN = ['size_out', 'rets', 'pfns', 'bitmap', 'data', 'info'] as const;

/**
 * Finds what differs from the reference: results, mappings, what devices reach, pins, charges,
 * pages that devices have pinned, dirty bitmaps.
 *
 * @param own the machine with the algorithm
 * @param reference the machine with the reference
 * @param anyRefusal whether the two may give other reasons for refusing the step
 * @returns the first difference in one line; null without one
 */
export function firstDifference(
  own: SteppedMachine,
  reference: SteppedMachine,
  anyRefusal: boolean,
): string | null {
  return (
    results(own.done, reference.done, anyRefusal) ??
    containers(iommusOf(own.view), iommusOf(reference.view)) ??
    memories(own.view, reference.view)
  );
}

function results(own: Done, reference: Done, anyRefusal: boolean): string | null {
  const refused = own.code < 0 && reference.code < 0;
  if (own.code !== reference.code && !(anyRefusal && refused)) {
    return differs('the step returns', codeText(own.code), codeText(reference.code));
  }
  for (const key of SHOWN) {
    if (own[key] === undefined && reference[key] === undefined) continue;
    const [a, b] = [textOf(own[key]), textOf(reference[key])];
    if (a !== b) return differs(`${key} of the step is`, a, b);
  }
  return null;
}

function codeText(code: number): string {
  return code < 0 ? `-${errnoName(code)}` : String(code);
}

/**
 * Whether a step is refused for RLIMIT_MEMLOCK with one algorithm, and for memory that cannot be
 * pinned with the other: one that tests the limit before it pins anything meets the limit first.
 *
 * @param limited what the step did with the algorithm that tests the limit first
 * @param faulted what it did with the other
 * @returns true if that is why their errnos differ
 */
export function limitBeforeFault(limited: Done, faulted: Done): boolean {
  const { limitPages } = limited.failure?.detail ?? {};
  return (
    limited.code === -Errno.ENOMEM && faulted.code === -Errno.EFAULT && limitPages !== undefined
  );
}

function containers(own: readonly VfioIommu[], reference: readonly VfioIommu[]): string | null {
  if (own.length !== reference.length) {
    return differs('containers with an IOMMU:', own.length, reference.length);
  }
  for (let i = 0; i < own.length; i++) {
    const found = dmas(own[i], reference[i]) ?? domains(own[i], reference[i]);
    if (found !== null) return found;
  }
  return null;
}

function dmas({ dmaList: own }: VfioIommu, { dmaList: reference }: VfioIommu): string | null {
  if (own.size !== reference.size) return differs('mappings:', own.size, reference.size);
  let other = reference.first();
  for (let dma = own.first(); dma && other; dma = own.next(dma)) {
    const found = oneDma(dma, other);
    if (found !== null) return `the mapping at iova ${hexPages(dma.iovaPn)} ${found}`;
    other = reference.next(other);
  }
  return null;
}

function oneDma(own: VfioDma, reference: VfioDma): string | null {
  if (own.iovaPn !== reference.iovaPn) {
    return differs('begins at', hexPages(own.iovaPn), hexPages(reference.iovaPn));
  }
  if (own.npage !== reference.npage) return differs('has pages:', own.npage, reference.npage);
  if (own.iommuMapped !== reference.iommuMapped) {
    return differs('is in a domain:', own.iommuMapped, reference.iommuMapped);
  }
  if (own.lockedVm !== reference.lockedVm) {
    return differs('is charged pages:', own.lockedVm, reference.lockedVm);
  }
  const [a, b] = [nodesOf(own), nodesOf(reference)];
  if (a !== b) return differs('has pages that devices pinned:', a, b);
  const [bits, others] = [bitsOf(own), bitsOf(reference)];
  return bits === others ? null : differs('has dirty pages:', bits, others);
}

function nodesOf({ pfnList }: VfioDma): string {
  if (pfnList.size === 0) return 'none';
  return [...pfnList]
    .map(({ iovaPn, offset, pfn, refCount }) => {
      const at = hex(byteAddress(iovaPn) + BigInt(offset));
      return `${at}=${hex(pfn)}*${refCount}`;
    })
    .join(',');
}

function bitsOf({ bitmap, npage }: VfioDma): string {
  if (!bitmap) return 'not tracked';
  return textOf([...bitmap.runs()].filter(([at]) => at < npage));
}

function domains(own: VfioIommu, reference: VfioIommu): string | null {
  const [a, b] = [own.domainList, reference.domainList];
  if (a.length !== b.length) return differs('domains:', a.length, b.length);
  for (let i = 0; i < a.length; i++) {
    const found = leaves(a[i].domain, b[i].domain);
    if (found !== null) return `domain ${i}: ${found}`;
  }
  return null;
}

const run = new LeafRun();
const other = new LeafRun();

function leaves(own: IommuDomain, reference: IommuDomain): string | null {
  for (let from = 0; ; from = run.iovaPn + run.leaves * pagesOf(run.order)) {
    const [more, others] = [own.nextLeaves(from, run), reference.nextLeaves(from, other)];
    if (!more && !others) return null;
    const same =
      run.iovaPn === other.iovaPn &&
      run.pfn === other.pfn &&
      run.order === other.order &&
      run.leaves === other.leaves &&
      run.prot === other.prot;
    if (more && others && same) continue;
    return differs(
      'the next leaves are',
      more ? runText(run) : 'none',
      others ? runText(other) : 'none',
    );
  }
}

function runText({ iovaPn, pfn, order, leaves: n, prot }: LeafRun): string {
  return `${hexPages(iovaPn)}=${hex(pfn)}:${order} * ${n} prot ${prot}`;
}

function memories(own: MachineView, reference: MachineView): string | null {
  const [a, b] = [own.memory, reference.memory];
  if (a.vmstat.pinsHeld !== b.vmstat.pinsHeld) {
    return differs('pins held:', a.vmstat.pinsHeld, b.vmstat.pinsHeld);
  }
  const others = [...b.addressSpaces];
  let i = 0;
  for (const { lockedVm } of a.addressSpaces) {
    const other = others[i++]?.lockedVm ?? 0;
    if (lockedVm !== other) return differs('the process is charged pages:', lockedVm, other);
  }
  return null;
}

function differs(what: string, own: unknown, reference: unknown): string {
  return `${what} ${String(own)}, in the reference ${String(reference)}`;
}

function textOf(value: unknown): string {
  return JSON.stringify(value) ?? 'nothing';
}
