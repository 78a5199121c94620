/** Comparing two machines that did the same with different pin algorithms. */
import { byteAddress, Errno, errnoName, pagesOf } from '@pinfold/base';
import { type Done, iommusOf, type MachineView } from '@pinfold/guest';
import { LeafRun, type IommuDomain } from '@pinfold/iommu';
import { hex, hexPages } from '@pinfold/scenario';
import type { VfioDma, VfioIommu } from '@pinfold/vfio-type1';
import type { Grade } from './violation.ts';

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
 * @param anyLeaves whether the same pages may be mapped by leaves of other sizes
 * @returns the first difference, the heaviest kinds first; null without one
 */
export function firstDifference(
  own: SteppedMachine,
  reference: SteppedMachine,
  anyRefusal: boolean,
  anyLeaves: boolean,
): Difference | null {
  const [iommus, others] = [iommusOf(own.view), iommusOf(reference.view)];
  const found = results(own.done, reference.done, anyRefusal) ?? containers(iommus, others);
  if (found) return found;
  const sizes = allLeaves(iommus, others, firstOtherLeaves, 'leaves');
  return (
    (sizes && allLeaves(iommus, others, firstOtherPage, 'corruption')) ??
    memories(own.view, reference.view) ??
    (anyLeaves ? null : sizes)
  );
}

/** What two machines differ in. */
export interface Difference {
  /** In one line. */
  readonly what: string;
  /** How much it weighs. */
  readonly grade: Grade;
}

function results(own: Done, reference: Done, anyRefusal: boolean): Difference | null {
  const refused = own.code < 0 && reference.code < 0;
  if (own.code !== reference.code && !(anyRefusal && refused)) {
    const what = differs('the step returns', codeText(own.code), codeText(reference.code));
    return { what, grade: refused ? 'errno' : 'result' };
  }
  for (const key of SHOWN) {
    if (own[key] === undefined && reference[key] === undefined) continue;
    const [a, b] = [textOf(own[key]), textOf(reference[key])];
    if (a !== b) return { what: differs(`${key} of the step is`, a, b), grade: 'result' };
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

function containers(own: readonly VfioIommu[], reference: readonly VfioIommu[]): Difference | null {
  if (own.length !== reference.length) {
    const what = differs('containers with an IOMMU:', own.length, reference.length);
    return { what, grade: 'result' };
  }
  for (let i = 0; i < own.length; i++) {
    const found = dmas(own[i], reference[i]) ?? numberOfDomains(own[i], reference[i]);
    if (found !== null) return found;
  }
  return null;
}

function dmas({ dmaList: own }: VfioIommu, { dmaList: reference }: VfioIommu): Difference | null {
  if (own.size !== reference.size) {
    return { what: differs('mappings:', own.size, reference.size), grade: 'result' };
  }
  let other = reference.first();
  for (let dma = own.first(); dma && other; dma = own.next(dma)) {
    const found = oneDma(dma, other);
    if (found === null) other = reference.next(other);
    else return { ...found, what: `the mapping at iova ${hexPages(dma.iovaPn)} ${found.what}` };
  }
  return null;
}

function oneDma(own: VfioDma, reference: VfioDma): Difference | null {
  const as = (grade: Grade, what: string, a: unknown, b: unknown): Difference | null =>
    a === b ? null : { what: differs(what, a, b), grade };
  return (
    as('result', 'begins at', hexPages(own.iovaPn), hexPages(reference.iovaPn)) ??
    as('result', 'has pages:', own.npage, reference.npage) ??
    as('result', 'is in a domain:', own.iommuMapped, reference.iommuMapped) ??
    as('accounting', 'is charged pages:', own.lockedVm, reference.lockedVm) ??
    as('corruption', 'has pages that devices pinned:', nodesOf(own), nodesOf(reference)) ??
    as('accounting', 'has dirty pages:', bitsOf(own), bitsOf(reference))
  );
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

function numberOfDomains(own: VfioIommu, reference: VfioIommu): Difference | null {
  const [a, b] = [own.domainList.length, reference.domainList.length];
  return a === b ? null : { what: differs('domains:', a, b), grade: 'result' };
}

const run = new LeafRun();
const other = new LeafRun();

type CompareDomains = (own: IommuDomain, reference: IommuDomain) => string | null;

/** Compares every domain with its counterpart. */
function allLeaves(
  own: readonly VfioIommu[],
  reference: readonly VfioIommu[],
  compare: CompareDomains,
  grade: Grade,
): Difference | null {
  for (let at = 0; at < own.length; at++) {
    const [list, others] = [own[at].domainList, reference[at].domainList];
    for (let i = 0; i < list.length; i++) {
      const found = compare(list[i].domain, others[i].domain);
      if (found !== null) return { what: `domain ${i}: ${found}`, grade };
    }
  }
  return null;
}

/** The first page that a device reaches in one and not in the other, or with other rights. */
function firstOtherPage(own: IommuDomain, reference: IommuDomain): string | null {
  let [more, others] = [own.nextLeaves(0, run), reference.nextLeaves(0, other)];
  while (more && others) {
    const [end, otherEnd] = [endOf(run), endOf(other)];
    const same = run.iovaPn === other.iovaPn && run.pfn === other.pfn && run.prot === other.prot;
    if (!same) break;
    const next = Math.min(end, otherEnd);
    more = next === end ? own.nextLeaves(next, run) : cutAt(run, next);
    others = next === otherEnd ? reference.nextLeaves(next, other) : cutAt(other, next);
  }
  if (!more && !others) return null;
  return differs('the device reaches', pageText(more, run), pageText(others, other));
}

function endOf({ iovaPn, leaves, order }: LeafRun): number {
  return iovaPn + leaves * pagesOf(order);
}

/** Leaves from some page of theirs on, as if they were single pages. */
function cutAt(leaf: LeafRun, iovaPn: number): true {
  const end = endOf(leaf);
  leaf.pfn += iovaPn - leaf.iovaPn;
  leaf.iovaPn = iovaPn;
  leaf.order = 0;
  leaf.leaves = end - iovaPn;
  return true;
}

function pageText(there: boolean, { iovaPn, pfn, prot }: LeafRun): string {
  return there ? `${hexPages(iovaPn)}=${hex(pfn)} prot ${prot} next` : 'nothing more';
}

function firstOtherLeaves(own: IommuDomain, reference: IommuDomain): string | null {
  for (let from = 0; ; from = endOf(run)) {
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

function memories(own: MachineView, reference: MachineView): Difference | null {
  const [a, b] = [own.memory, reference.memory];
  const more = a.vmstat.pinsHeld - b.vmstat.pinsHeld;
  if (more !== 0) {
    const what = differs('pins held:', a.vmstat.pinsHeld, b.vmstat.pinsHeld);
    return { what, grade: more > 0 ? 'leak' : 'corruption' };
  }
  const others = [...b.addressSpaces];
  let i = 0;
  for (const { lockedVm } of a.addressSpaces) {
    const other = others[i++]?.lockedVm ?? 0;
    if (lockedVm === other) continue;
    return { what: differs('the process is charged pages:', lockedVm, other), grade: 'accounting' };
  }
  return null;
}

function differs(what: string, own: unknown, reference: unknown): string {
  return `${what} ${String(own)}, in the reference ${String(reference)}`;
}

function textOf(value: unknown): string {
  return JSON.stringify(value) ?? 'nothing';
}
