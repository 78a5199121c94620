/**
 * What goes wrong without an error where devices pin pages themselves: quirks of real kernels.
 *
 * @source README-extpin, "What the recordings show"
 */
import type { Finding } from './finding.ts';
import { nameOf, type LiveMapping, type LiveMappings } from './live-mappings.ts';

const U64_END = 2n ** 64n;
const UNMAP_BITMAP = 1;
/** Pages of one word of a bitmap. */
const WORD_PAGES = 64n;

const UNPINS = 'vfio_iommu_type1_unpin_pages';

/** What the kernel means with its warnings, by the function that gives them. */
const WARNINGS: ReadonlyMap<string, string> = new Map([
  [
    'vfio_remove_dma',
    'a device still has pages of a mapping pinned that is removed: nobody will ever give them back, and their charge stays',
  ],
  [
    'vfio_device_container_unpin_pages',
    'pages are given back in a number that cannot be: nothing is done',
  ],
  ['vfio_unpin_pages', 'the device is not open: nothing is given back'],
]);

function unpinWarning(v2: boolean): string {
  return v2
    ? 'pages are given back where no mapping lies: nothing from there on is done'
    : 'pages are given back in a container of type1 v1, which has no external pins: nothing is done';
}

/**
 * A mapping that ends with the address space.
 *
 * @param live the mappings
 * @returns the first of them; undefined without one
 */
export function mappingAtTop(live: LiveMappings): LiveMapping | undefined {
  return live.at(U64_END - 1n);
}

function endsAtTop({ iova, size }: LiveMapping): boolean {
  return iova + size === U64_END;
}

/**
 * What has become of a mapping that ends with the address space, and that an unmap did not find.
 *
 * @param name how it is called
 * @returns a sentence
 */
export function lostAtTop(name: string): string {
  return `It returned success and size 0: ${name} ends at 2^64. Up to 6.16 the end of such a mapping is 0 to the kernel, which finds neither it nor, on the way past it, others; they stay until the container closes.`;
}

const mappedTwice: Finding = {
  name: 'an address that is mapped twice',
  find({ done: { operation, observation }, live }) {
    if (operation.op !== 'map' || observation.ret < 0) return null;
    const { iova, size } = operation;
    const [other] = live.overlapping(iova, size);
    if (!other || !endsAtTop(other)) return null;
    return `These addresses are those of ${nameOf(other)} already. That one ends at 2^64, and up to 6.16 the kernel does not find such a mapping: it makes another.`;
  },
};

const chargeLeft: Finding = {
  name: 'a charge that is never given back',
  find({ done: { observation }, live, before }) {
    const closed = observation.avail === undefined && before.shown.avail !== undefined;
    const left = observation.mm.VmLck;
    if (!closed || left === 0 || !live.pinnedInsidePages) return null;
    return `${left} kB of locked_vm stay charged although nothing is mapped any more. Pages were pinned at addresses inside a page; up to 6.16 the replay at attach looks for a pin at exactly the address of a page, charges those pages again, and nobody takes that back.`;
  },
};

const staleBits: Finding = {
  name: 'dirty bits of no mapping',
  find({ done: { operation, observation }, live }) {
    const reads =
      operation.op === 'dirty' ||
      (operation.op === 'unmap' && (operation.flags & UNMAP_BITMAP) !== 0);
    if (!reads || !observation.bitmap) return null;
    const { iova, pgsize = 4096n } = operation;
    const inside = ([first, n]: readonly [number, number]): boolean => {
      const at = iova + BigInt(first) * pgsize;
      const end = at + BigInt(n) * pgsize;
      for (const map of live.overlapping(at, end - at)) {
        if (map.iova <= at && end <= map.iova + map.size) return true;
      }
      return false;
    };
    const stale = observation.bitmap.runs.find((run) => !inside(run));
    if (!stale) return null;
    const shifted = [...live].find((map) => ((map.iova - iova) / pgsize) % WORD_PAGES !== 0n);
    if (!shifted) return null;
    return `Bit ${stale[0]} is of no mapping. Of ${nameOf(shifted)}, the begin is no multiple of 64 pages from that of the range: the kernel shifts its own bitmap by the rest, in place, and then clears only as many bits as the mapping has pages. What was shifted beyond comes back in the next read, moved once more. STOP and START clean up.`;
  },
};

const warned: Finding = {
  name: 'a warning of the kernel',
  find({ done: { observation }, live }) {
    const known = (observation.klog ?? []).flatMap((line) => {
      const fn = /^WARNING: (\w+)$/.exec(line)?.[1] ?? '';
      const what = fn === UNPINS ? unpinWarning(live.v2) : WARNINGS.get(fn);
      return what === undefined ? [] : [`The kernel warns in ${fn}: ${what}.`];
    });
    return known.length > 0 ? [...new Set(known)].join(' ') : null;
  },
};

/** Everything that is looked for. */
export const externalFindings: readonly Finding[] = [mappedTwice, chargeLeft, staleBits, warned];
