import { describe, expect, test } from 'vitest';
import type { MemoryShape } from './memory-shape.ts';
import { Recording } from './recording.ts';
import { readState } from './settings.ts';
import { firstTile, frameTiles, gridOf, tilePages, tileX } from './tiles.ts';

function shapeOf(query: string): MemoryShape {
  const { settings } = readState(new URLSearchParams(query));
  return new Recording(settings, 'series-1-4').overview().shape;
}

const MEMORIES = [
  'backing=4k&layout=S4&size=64K',
  'backing=4k&layout=T4&size=4M',
  'backing=thp&layout=H2&size=16M',
  'backing=hugetlb-1g&layout=H1&size=4G',
];

describe.each(MEMORIES)('%s', (query) => {
  const shape = shapeOf(query);

  test.each([240, 300, 440, 570, 900])('fits %i pixels', (width) => {
    const grid = gridOf(shape, width);
    expect(tileX(grid, grid.visible - 1) + grid.columns * grid.cell).toBeLessThanOrEqual(width);
    expect(Number.isInteger(grid.cell)).toBe(true);
    expect(grid.tiles * tilePages(grid)).toBe(shape.npage);
  });

  test('every page is seen on some screen, and its frame with it', () => {
    const grid = gridOf(shape, 570);
    for (let page = 0; page < shape.npage; page += 2 ** grid.cellOrder * 5) {
      const first = firstTile(grid, page);
      const end = (first + grid.visible) * tilePages(grid);
      expect(page >= first * tilePages(grid) && page < end).toBe(true);
    }
    const seen = frameTiles(shape, grid, 0).flatMap(({ pages }) =>
      [...pages].filter((p) => p >= 0),
    );
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.length).toBe((grid.visible * tilePages(grid)) / 2 ** grid.cellOrder);
  });
});

test('frames lie where the page table says', () => {
  const shape = shapeOf('backing=thp&layout=H2&size=4M');
  const tiles = frameTiles(shape, gridOf(shape, 570), 0);
  expect(tiles.map(({ pfn }) => pfn)).toEqual([...shape.folioPfns].sort((a, b) => a - b));
  expect(tiles.map(({ pages }) => pages[0])).toEqual([512, 0]);
});
