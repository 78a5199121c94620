/** Large folios of which the process has some pages no longer: it has others in their place. */
import { byteAddress } from '@pinfold/base';
import type { Operation } from '@pinfold/guest';
import * as fc from 'fast-check';
import type { BoundaryClass } from './boundary.ts';
import { frames, placed, type Scene, type Slot } from './scene.ts';

/** The registry's entry. */
export const cowFolio: BoundaryClass = {
  name: 'COWed page inside a folio',
  summary:
    'a folio’s pages with others among them: copies of a file’s, copies after fork, new ones',
  scene: (slot) =>
    fc
      .record({
        kind: fc.constantFrom(...KINDS),
        order: fc.constantFrom(2, 4, 9),
        folios: fc.constantFrom(1, 2),
        replaced: fc.uniqueArray(fc.nat(15), { minLength: 0, maxLength: 3, size: 'max' }),
        adjacent: fc.boolean(),
      })
      .map((drawn) => sceneOf(slot, drawn)),
  steps: { map: 6, unmap: 4, unmapAll: 1, process: 1 },
};

/** By what pages are replaced: a write to a private mapping, one after fork, or madvise. */
const KINDS = ['file', 'fork', 'dontneed', 'dontneed'] as const;

interface Drawn {
  readonly kind: (typeof KINDS)[number];
  /** Order of the folios. */
  readonly order: number;
  readonly folios: number;
  /** Pages that are replaced. */
  readonly replaced: readonly number[];
  /** Whether copies of a file's pages lie right behind the folio's frames, or apart. */
  readonly adjacent: boolean;
}

function sceneOf(slot: Slot, drawn: Drawn): Scene {
  const { vpn } = slot;
  const npage = drawn.folios * 2 ** drawn.order;
  const pages = drawn.replaced.map((page) => page % npage);
  const edges = [0, ...pages, ...pages.map((page) => page + 1), npage];
  const ranges = pages.map((page) => ({ va: byteAddress(vpn + page), size: 4096n }));
  return {
    memory: [foliosOf(slot, drawn), ...replacing(drawn.kind, ranges)],
    areas: [{ vpn, npage, edges }],
  };
}

function foliosOf({ index, vpn, pfn }: Slot, { kind, order, folios, adjacent }: Drawn): Operation {
  const npage = folios * 2 ** order;
  const extents = [frames(pfn, npage, order)];
  if (kind !== 'file') return placed(`F${index}`, 'anon', vpn, extents);
  const copies = pfn + (adjacent ? npage : 4096);
  return placed(`F${index}`, kind, vpn, extents, { path: `/root/F${index}`, copies });
}

type Range = Readonly<Record<'va' | 'size', bigint>>;

function replacing(kind: Drawn['kind'], ranges: readonly Range[]): Operation[] {
  const touch = ranges.map((range): Operation => ({
    op: 'touch',
    mode: 'w',
    stride: 4096n,
    ...range,
  }));
  switch (kind) {
    case 'file':
      return touch;
    case 'fork':
      return [{ op: 'fork' }, ...touch, { op: 'reap' }];
    case 'dontneed':
      return ranges.map((range): Operation => ({ op: 'madvise', advice: 'dontneed', ...range }));
  }
}
