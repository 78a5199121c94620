import { mulberry32, X86_64 } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { FrameRun, LONGTERM_PIN } from './frame-source.ts';
import { PG } from './page-state.ts';
import type { MemoryRange } from './sections.ts';
import { BuddyAllocator } from './page-alloc.ts';

const GIB = 2 ** 18;
const LOW = 4096;
/** 1 GiB below and 4 GiB above 4 GiB, the last one movable; 128 MiB of the third are CMA. */
const RANGES: readonly MemoryRange[] = [
  { pfn: 0, npage: GIB },
  { pfn: 4 * GIB, npage: 2 * GIB },
  { pfn: 6 * GIB, npage: GIB - 32768 },
  { pfn: 7 * GIB - 32768, npage: 32768, cma: true },
  { pfn: 7 * GIB, npage: GIB, zone: 'movable' },
];

function zoneOf(pfn: number): string {
  if (pfn < 4 * GIB) return 'DMA32';
  if (pfn >= 7 * GIB) return 'MOVABLE';
  return pfn >= 7 * GIB - 32768 ? 'CMA' : 'NORMAL';
}

describe('zones', () => {
  test('have the memory of their ranges, without the lowest 16 MiB', () => {
    const buddy = new BuddyAllocator(RANGES);
    expect(buddy.freePages('DMA32')).toBe(GIB - LOW);
    expect(buddy.freePages('NORMAL')).toBe(3 * GIB);
    expect(buddy.freePages('MOVABLE')).toBe(GIB);
  });

  test('serve the highest first: MOVABLE, CMA, NORMAL, DMA32', () => {
    const buddy = new BuddyAllocator(RANGES);
    const order: string[] = [];
    for (;;) {
      const pfn = buddy.allocPages(X86_64.maxPageOrder, true);
      if (pfn < 0) break;
      if (order.at(-1) !== zoneOf(pfn)) order.push(zoneOf(pfn));
    }
    expect(order).toEqual(['MOVABLE', 'CMA', 'NORMAL', 'DMA32']);
  });

  test('memory that must not move comes from NORMAL and DMA32 only', () => {
    const buddy = new BuddyAllocator(RANGES);
    const zones = new Set<string>();
    let pages = 0;
    for (;;) {
      const pfn = buddy.allocPages(X86_64.maxPageOrder, false);
      if (pfn < 0) break;
      zones.add(zoneOf(pfn));
      pages += 1024;
    }
    expect([...zones].sort()).toEqual(['DMA32', 'NORMAL']);
    expect(pages).toBe(GIB - LOW + 3 * GIB - 32768);
    expect(buddy.freePages('MOVABLE')).toBe(GIB);
  });

  test('a longterm pin asks for such memory', () => {
    const buddy = new BuddyAllocator(RANGES);
    const run = new FrameRun();
    buddy.framesFor(0, 1, 0, run, PG.anon);
    expect(zoneOf(run.pfn)).toBe('MOVABLE');
    buddy.framesFor(0, 1, 0, run, PG.anon | LONGTERM_PIN);
    expect(zoneOf(run.pfn)).toBe('NORMAL');
  });
});

describe('blocks', () => {
  test('are aligned, disjoint, and merge with their buddies until nothing is missing', () => {
    const buddy = new BuddyAllocator(RANGES, { seed: 3 });
    const random = mulberry32(7);
    const held: [pfn: number, order: number][] = [];
    const used = new Set<number>();
    for (let step = 0; step < 4000; step++) {
      if (held.length > 0 && random() < 0.45) {
        const [[pfn, order]] = held.splice(Math.floor(random() * held.length), 1);
        for (let i = 0; i < 2 ** order; i++) used.delete(pfn + i);
        buddy.freePagesAt(pfn, order);
        continue;
      }
      const order = Math.floor(random() * (X86_64.maxPageOrder + 1));
      const pfn = buddy.allocPages(order, random() < 0.5);
      expect(pfn % 2 ** order).toBe(0);
      for (let i = 0; i < 2 ** order; i++) {
        expect(used.has(pfn + i)).toBe(false);
        used.add(pfn + i);
      }
      held.push([pfn, order]);
    }
    const free = (['DMA32', 'NORMAL', 'MOVABLE'] as const).map((zone) => buddy.freePages(zone));
    expect(free.reduce((sum, pages) => sum + pages)).toBe(5 * GIB - LOW - used.size);
    for (const [pfn, order] of held) buddy.freePagesAt(pfn, order);
    // Merged again, memory has as many of the largest blocks as at the start.
    let blocks = 0;
    while (buddy.allocPages(X86_64.maxPageOrder, true) >= 0) blocks++;
    expect(blocks).toBe((5 * GIB - LOW) / 1024);
  });

  test('come in an order that the seed decides', () => {
    const first = (seed: number): number =>
      new BuddyAllocator(RANGES, { seed }).allocPages(9, true);
    expect(first(1)).toBe(first(1));
    expect(new Set([1, 2, 3, 4, 5].map(first)).size).toBeGreaterThan(1);
  });

  test('there are none left at the end', () => {
    const buddy = new BuddyAllocator([{ pfn: 4 * GIB, npage: 1024 }]);
    expect(buddy.allocPages(10, true)).toBe(4 * GIB);
    expect(buddy.allocPages(0, true)).toBe(-1);
  });
});

describe('fragmentation', () => {
  test('of 1 leaves no block of 2 MiB, and takes one page of each', () => {
    const ranges = [{ pfn: 4 * GIB, npage: 64 * 1024 }];
    const buddy = new BuddyAllocator(ranges, { fragmentation: 1 });
    expect(buddy.allocPages(9, true)).toBe(-1);
    const sizes = new Set<number>();
    for (;;) {
      const pfn = buddy.allocPages(0, true);
      if (pfn < 0) break;
      sizes.add(pfn);
    }
    expect(sizes.size).toBe(64 * 1024 - 128);
  });

  test('of one half leaves about half of them', () => {
    const buddy = new BuddyAllocator([{ pfn: 4 * GIB, npage: 512 * 1000 }], { fragmentation: 0.5 });
    let huge = 0;
    while (buddy.allocPages(9, true) >= 0) huge++;
    expect(huge).toBeGreaterThan(400);
    expect(huge).toBeLessThan(600);
  });
});

describe('huge pages that are set aside', () => {
  test('are handed out for hugetlb only, and come back', () => {
    const buddy = new BuddyAllocator(RANGES);
    expect(buddy.setAside(18, 1)).toBe(1);
    expect(buddy.setAside(9, 2)).toBe(2);
    const run = new FrameRun();
    const take = (order: number): number => {
      buddy.framesFor(0, 1, order, run, PG.hugetlb);
      return run.pfn;
    };
    const giga = take(18);
    expect([giga % GIB, zoneOf(giga)]).toEqual([0, 'NORMAL']);
    expect(take(18)).toBe(-1);
    const huge = [take(9), take(9)];
    expect(huge.every((pfn) => pfn >= 0 && pfn % 512 === 0)).toBe(true);
    expect(take(9)).toBe(-1);
    buddy.framesFreed(huge[0], 9, PG.hugetlb);
    expect(take(9)).toBe(huge[0]);
  });

  test('leave all the rest to be handed out', () => {
    const buddy = new BuddyAllocator(RANGES, { seed: 3 });
    buddy.setAside(18, 1);
    let pages = 0;
    while (buddy.allocPages(X86_64.maxPageOrder, true) >= 0) pages += 2 ** X86_64.maxPageOrder;
    expect(pages).toBe(4 * GIB - LOW);
    expect(buddy.freePages('NORMAL')).toBe(0);
  });

  test('are as many as fit', () => {
    // The GiB with the CMA area is not whole, nor is the lowest.
    expect(new BuddyAllocator(RANGES).setAside(18, 100)).toBe(2);
  });
});
