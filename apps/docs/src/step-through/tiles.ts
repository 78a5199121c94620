/**
 * Where things are drawn. A tile is what one page of a page table covers, 512 cells of 32 by 16: of
 * 4 KiB pages, or of 2 MiB where memory is in folios of 1 GiB. A batch of 512 pointers is as large.
 */
import { pfnOf, type MemoryShape } from './memory-shape.ts';

/** Cells of a full tile. */
const TILE_CELLS = 512;
const COLUMNS = 32;
const GAP = 14;
/** The smallest cell that is still visible as one. */
const SMALLEST_CELL = 4;
/** Tiles side by side, at most: more do not help. */
const MOST_TILES = 4;

/** How tiles are drawn. */
export interface Grid {
  /** log2 of the pages of a cell. */
  readonly cellOrder: number;
  /** Cells of a tile. */
  readonly cells: number;
  /** Cells side by side. */
  readonly columns: number;
  /** Rows of cells. */
  readonly rows: number;
  /** Width and height of a cell, in CSS pixels. */
  readonly cell: number;
  /** Tiles side by side. */
  readonly visible: number;
  /** Tiles of the whole mapping. */
  readonly tiles: number;
}

/**
 * The grid that suits a memory and a width.
 *
 * @param shape the memory
 * @param width width that may be used, in CSS pixels
 * @returns the grid
 */
export function gridOf({ npage, folioOrder }: MemoryShape, width: number): Grid {
  const cellOrder = folioOrder > 9 ? 9 : 0;
  const allCells = npage / 2 ** cellOrder;
  const cells = Math.min(TILE_CELLS, allCells);
  const columns = Math.min(COLUMNS, cells);
  const tiles = Math.ceil(allCells / cells);
  const wanted = Math.max(2, Math.floor((width + GAP) / (COLUMNS * SMALLEST_CELL + GAP)));
  const visible = Math.min(tiles, wanted, MOST_TILES);
  const room = (width - GAP * (visible - 1)) / (visible * columns);
  // Whole pixels, or the lines between cells would blur.
  const cell = Math.max(2, Math.floor(Math.min(room, largestCell(cells))));
  return { cellOrder, cells, columns, rows: Math.ceil(cells / columns), cell, visible, tiles };
}

/** Few cells may be large; a full tile need not fill the whole width. */
function largestCell(cells: number): number {
  return cells < 128 ? 24 : 9;
}

/**
 * Left edge of a tile.
 *
 * @param grid the grid
 * @param slot place of the tile from the left
 * @returns in CSS pixels
 */
export function tileX({ columns, cell }: Grid, slot: number): number {
  return slot * (columns * cell + GAP);
}

/**
 * Pages of a tile.
 *
 * @param grid the grid
 * @returns their number
 */
export function tilePages({ cells, cellOrder }: Grid): number {
  return cells * 2 ** cellOrder;
}

/**
 * The first tile that is drawn: tiles come screen by screen, so that nothing moves while a screen is
 * gone through.
 *
 * @param grid the grid
 * @param focus index of the page that has to be seen
 * @returns number of the tile
 */
export function firstTile(grid: Grid, focus: number): number {
  const tile = Math.floor(focus / tilePages(grid));
  const first = Math.floor(tile / grid.visible) * grid.visible;
  return Math.max(0, Math.min(first, grid.tiles - grid.visible));
}

/** A tile of physical memory. */
export interface FrameTile {
  /** Its first frame. */
  readonly pfn: number;
  /** Of each cell: index in the mapping of its first page; -1 if no page that is seen lies there. */
  readonly pages: Float64Array;
}

/**
 * The tiles of physical memory in which the pages lie that are drawn.
 *
 * @param shape the memory
 * @param grid the grid
 * @param first first tile of the mapping that is drawn
 * @returns at most as many as are visible, by frame number
 */
export function frameTiles(shape: MemoryShape, grid: Grid, first: number): FrameTile[] {
  const size = tilePages(grid);
  const step = 2 ** grid.cellOrder;
  const end = Math.min(shape.npage, (first + grid.visible) * size);
  const tiles = new Map<number, FrameTile>();
  for (let page = first * size; page < end; page += step) {
    const pfn = pfnOf(shape.folioPfns, shape.folioOrder, page);
    const base = pfn - (pfn % size);
    let tile = tiles.get(base);
    if (!tile) {
      tile = { pfn: base, pages: new Float64Array(grid.cells).fill(-1) };
      tiles.set(base, tile);
    }
    tile.pages[(pfn - base) / step] = page;
  }
  return [...tiles.values()].sort((a, b) => a.pfn - b.pfn).slice(0, grid.visible + 1);
}
