/**
 * Groups of a container in the plainest form: which domains there are, which addresses are usable,
 * and what every page of every mapping is pinned and charged for, page by page; after the reference
 * (type1.md §9 and §11) and the recordings' README ("Emulated groups only", "Attach with pins",
 * "Detach with pins").
 */
import type { Errno } from '@pinfold/base';
import type { IommuUnit } from '@pinfold/iommu';
import type { TestKernel } from './kernels.ts';

/** A page of the process: memory, device memory, or nothing. */
export interface PlainPage {
  readonly pfn: number;
  readonly kind: 'memory' | 'device' | 'hole';
}

/** A page that devices have pinned. */
interface PlainNode {
  readonly pfn: number;
  references: number;
}

/** A mapping. */
export interface PlainMapping {
  readonly iovaPn: number;
  readonly pages: readonly PlainPage[];
  readonly lockCap: boolean;
  /** Whether the domains map it. */
  mapped: boolean;
  readonly nodes: Map<number, PlainNode>;
}

/** A domain: the IOMMU that it was made for, and its groups. */
interface PlainDomain {
  readonly unit: IommuUnit;
  readonly groups: Set<string>;
}

type Result = keyof typeof Errno | number;

const MSI = { start: 0xfee00, last: 0xfeeff };
const LAST_PN = 2 ** 52 - 1;

/** The expected state of a container whose groups come and go. */
export class PlainGroups {
  mappings: PlainMapping[] = [];
  /** The newest first. */
  domains: PlainDomain[] = [];
  readonly emulated: Set<string> = new Set();
  /** Last usable page; null while no domain has ever restricted it. */
  last: number | null = null;
  limit = Infinity;
  lockCap = false;
  readonly #kernel: TestKernel;

  constructor(kernel: TestKernel) {
    this.#kernel = kernel;
  }

  /** Pages that the process is charged with. */
  get lockedVm(): number {
    return this.mappings.reduce((sum, mapping) => sum + charge(mapping), 0);
  }

  /** Frames that are pinned, as often as they are. */
  get pins(): number[] {
    return this.mappings.flatMap(({ mapped, pages, nodes }) => [
      ...(mapped ? memoryOf(pages) : []),
      ...Array.from(nodes.values(), ({ pfn }) => pfn),
    ]);
  }

  map(iovaPn: number, pages: readonly PlainPage[]): Result {
    const end = iovaPn + pages.length;
    const overlaps = this.mappings.some(
      (other) => other.iovaPn < end && iovaPn < other.iovaPn + other.pages.length,
    );
    if (overlaps) return 'EEXIST';
    const msi = iovaPn <= MSI.last && end > MSI.start;
    if (this.last !== null && (end - 1 > this.last || (msi && this.domains.length > 0)))
      return 'EINVAL';
    const mapping = { iovaPn, pages, lockCap: this.lockCap, mapped: false, nodes: new Map() };
    if (this.domains.length > 0) {
      const refused = this.#pin(mapping, 0);
      if (typeof refused === 'string') return refused;
      mapping.mapped = true;
    }
    this.mappings.push(mapping);
    this.mappings.sort((a, b) => a.iovaPn - b.iovaPn);
    return 0;
  }

  /** Devices give back what they have pinned of it. */
  unmap(iovaPn: number): void {
    this.mappings = this.mappings.filter((mapping) => mapping.iovaPn !== iovaPn);
  }

  pin(iovaPn: number, npage: number): Result {
    const before = this.mappings.map(({ nodes }) => new Map(nodes));
    for (let at = iovaPn; at < iovaPn + npage; at++) {
      const result = this.#pinOne(at);
      if (result === 0) continue;
      this.mappings.forEach(({ nodes }, i) => {
        for (const page of nodes.keys()) if (!before[i].has(page)) nodes.delete(page);
      });
      for (let done = iovaPn; done < at; done++) this.#giveBack(done);
      return result;
    }
    return npage;
  }

  unpin(iovaPn: number, npage: number): void {
    for (let at = iovaPn; at < iovaPn + npage; at++) {
      if (!this.#at(at)) break;
      this.#giveBack(at);
    }
  }

  /** The device that has all pins gives them back. */
  unpinAll(): void {
    for (const { nodes } of this.mappings) nodes.clear();
  }

  attach(name: string, unit: IommuUnit): Result {
    const width = 2 ** (unit.addressWidth - 12) - 1;
    const highest = Math.max(0, ...this.mappings.map((m) => m.iovaPn + m.pages.length - 1));
    // A range that ends at 2^64 is not found where ends are exclusive.
    const seen = this.last !== null && !(this.last === LAST_PN && this.#kernel.type1.exclusiveEnds);
    if (seen && highest > width) return 'EINVAL';
    if (this.mappings.some((m) => m.iovaPn <= MSI.last && m.iovaPn + m.pages.length > MSI.start))
      return 'EINVAL';
    const joined = this.domains.find((domain) => this.#serves(domain.unit, unit));
    if (joined) joined.groups.add(name);
    else {
      const refused = this.#replay(width);
      if (refused !== 0) return refused;
      this.domains.unshift({ unit, groups: new Set([name]) });
    }
    this.last = Math.min(this.last ?? LAST_PN, width);
    return 0;
  }

  detach(name: string): void {
    for (const { groups } of this.domains) groups.delete(name);
    const left = this.domains.filter(({ groups }) => groups.size > 0);
    if (left.length === this.domains.length) return;
    this.domains = left;
    this.last = Math.min(LAST_PN, ...left.map(({ unit }) => 2 ** (unit.addressWidth - 12) - 1));
    if (left.length === 0) for (const mapping of this.mappings) mapping.mapped = false;
  }

  #serves(made: IommuUnit, unit: IommuUnit): boolean {
    const more = unit.superpageOrders.length - made.superpageOrders.length;
    return (
      made.snoopControl === unit.snoopControl &&
      made.addressWidth <= unit.addressWidth &&
      (more === 0 || (more > 0 && !this.#kernel.iommu.attachNeedsSameSuperpages))
    );
  }

  /** Pins what no domain has; a mapping above the width is pinned first, and then refused. */
  #replay(width: number): Result {
    if (this.domains.length > 0) return 0;
    let charged = 0;
    for (const mapping of this.mappings) {
      const more = this.#pin(mapping, charged);
      if (typeof more === 'string') return more;
      if (mapping.iovaPn + mapping.pages.length - 1 > width)
        return this.#kernel.iommu.formats['intel-vtd'] === 'generic-pt-vtd-ss'
          ? 'ERANGE'
          : 'EFAULT';
      charged += more;
    }
    for (const mapping of this.mappings) mapping.mapped = true;
    return 0;
  }

  /** Pages that pinning a mapping charges, after `charged` others; or why it fails. */
  #pin({ pages, nodes, lockCap }: PlainMapping, charged: number): keyof typeof Errno | number {
    let more = 0;
    for (const [i, { kind }] of pages.entries()) {
      if (kind === 'hole') return 'EFAULT';
      if (kind === 'device' || nodes.has(i)) continue;
      more++;
      if (!lockCap && this.lockedVm + charged + more > this.limit) return 'ENOMEM';
    }
    return more;
  }

  #pinOne(at: number): keyof typeof Errno | 0 {
    const mapping = this.#at(at);
    if (!mapping) return 'EINVAL';
    const { nodes, pages, lockCap, iovaPn } = mapping;
    const node = nodes.get(at - iovaPn);
    if (node) {
      node.references++;
      return 0;
    }
    const { pfn, kind } = pages[at - iovaPn];
    if (kind === 'hole') return 'EFAULT';
    if (kind === 'device') return 'EINVAL';
    if (this.domains.length === 0 && !lockCap && this.lockedVm + 1 > this.limit) return 'ENOMEM';
    nodes.set(at - iovaPn, { pfn, references: 1 });
    return 0;
  }

  #giveBack(at: number): void {
    const mapping = this.#at(at);
    const node = mapping?.nodes.get(at - mapping.iovaPn);
    if (node && --node.references === 0) mapping?.nodes.delete(at - mapping.iovaPn);
  }

  #at(at: number): PlainMapping | undefined {
    return this.mappings.find(({ iovaPn, pages }) => iovaPn <= at && at < iovaPn + pages.length);
  }
}

/** What a mapping is charged for: its memory if it is mapped, else what devices have pinned. */
function charge({ mapped, pages, nodes }: PlainMapping): number {
  return mapped ? memoryOf(pages).length : nodes.size;
}

function memoryOf(pages: readonly PlainPage[]): number[] {
  return pages.filter(({ kind }) => kind === 'memory').map(({ pfn }) => pfn);
}
