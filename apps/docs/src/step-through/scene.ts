/** Drawing: the process's memory, the frames, the batch and the IOMMU's table, on canvases. */
import { formatSize, PAGE_SIZE } from '@pinfold/base';
import { bandsOf, focusOf, pinsIn, stateOf, type Band } from './bands.ts';
import { count, hex, plural } from './call-text.ts';
import {
  drawCells,
  drawGlue,
  drawOutline,
  drawRing,
  label,
  type Canvas,
  type Palette,
} from './cells.ts';
import { leafOrderAt, type MemoryShape } from './memory-shape.ts';
import { batchOf, Col, Kind, type Step } from './steps.ts';
import {
  firstTile,
  frameTiles,
  gridOf,
  tilePages,
  tileX,
  type FrameTile,
  type Grid,
} from './tiles.ts';

/** What is drawn. */
export interface Scene {
  /** The step. */
  readonly step: Step;
  /** The memory. */
  readonly shape: MemoryShape;
  /** Width in CSS pixels. */
  readonly width: number;
  /** The colours. */
  readonly palette: Palette;
}

const FONT = '11px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace';
const LABEL = 15;
/** Room between the process's memory and the frames, for the lines. */
const BETWEEN = 40;
/** Room for a ring at the border of a tile. */
const EDGE = 2;

/** What all parts of a scene need. */
interface Frame extends Scene, Canvas {
  readonly first: number;
  readonly bands: readonly Band[];
  readonly focus: number;
}

/**
 * Draws the process's memory and its frames.
 *
 * @param canvas the canvas
 * @param scene what to draw
 */
export function drawMemory(canvas: HTMLCanvasElement, scene: Scene): void {
  const grid = gridOf(scene.shape, scene.width - 2 * EDGE);
  const tile = grid.rows * grid.cell;
  const lane = tile + 2 * LABEL + 4;
  const frame = begin(canvas, scene, grid, 2 * lane + BETWEEN);
  const lower = lane + BETWEEN;
  const frames = frameTiles(scene.shape, grid, frame.first).slice(0, grid.visible);
  drawLines(frame, frames, LABEL + tile, lower + LABEL);
  for (let slot = 0; slot < grid.visible; slot++) drawVirtualTile(frame, slot, LABEL);
  frames.forEach((one, slot) => drawFrameTile(frame, one, slot, lower + LABEL, frames));
}

/**
 * Draws what the IOMMU maps.
 *
 * @param canvas the canvas
 * @param scene what to draw
 */
export function drawIommu(canvas: HTMLCanvasElement, scene: Scene): void {
  const grid = gridOf(scene.shape, scene.width - 2 * EDGE);
  const frame = begin(canvas, scene, grid, grid.rows * grid.cell + 2 * LABEL + 4);
  for (let slot = 0; slot < grid.visible; slot++) drawIommuTile(frame, slot, LABEL);
}

/**
 * Draws the batch; during the unmap, the regions that wait for the IOTLB's flush.
 *
 * @param canvas the canvas
 * @param scene what to draw
 */
export function drawBatch(canvas: HTMLCanvasElement, scene: Scene): void {
  const cell = Math.min(9, (scene.width - 2 * EDGE) / 32);
  const grid: Grid = {
    ...{ cellOrder: 0, cells: 512, columns: 32, rows: 16 },
    ...{ cell, visible: 1, tiles: 1 },
  };
  const frame = begin(canvas, scene, grid, 16 * cell);
  const row = scene.step.row;
  const { offset, entries } = batchOf(row);
  const filled = offset + entries;
  const next = row[Col.chunkStart] + row[Col.chunkPinned];
  const isUnmap = row[Col.phase] === 1;
  drawCells(frame, 0, 0, 512, (entry) => {
    if (isUnmap) return entry < row[Col.regions] ? 'waiting' : null;
    if (entry >= filled) return null;
    return stateOf(frame.bands, Math.max(0, next - offset + entry));
  });
  drawGlue(frame, 0, 0, 512, 1);
  drawOutline(frame, 0, 0, false);
  if (!isUnmap && entries > 0) drawRing(frame, 0, 0, offset, frame.palette.text);
}

function begin(canvas: HTMLCanvasElement, scene: Scene, grid: Grid, height: number): Frame {
  const { width, shape, step } = scene;
  const ratio = devicePixelRatio || 1;
  const ctx = canvas.getContext('2d');
  if (!ctx) throw new Error('this browser draws nothing on a canvas');
  const used = Math.min(width, tileX(grid, grid.visible - 1) + grid.columns * grid.cell + 2 * EDGE);
  canvas.width = Math.round(used * ratio);
  canvas.height = Math.round((height + 2 * EDGE) * ratio);
  canvas.style.width = `${used}px`;
  canvas.style.height = `${height + 2 * EDGE}px`;
  ctx.setTransform(ratio, 0, 0, ratio, EDGE * ratio, EDGE * ratio);
  ctx.font = FONT;
  ctx.textBaseline = 'alphabetic';
  const focus = focusOf(step, shape.npage);
  const bands = bandsOf(step.row, shape.npage);
  return { ...scene, ctx, grid, bands, focus, first: firstTile(grid, focus) };
}

/** Cells of the tile of the mapping at a place; fewer at the mapping's end. */
function cellsAt({ grid, shape, first }: Frame, slot: number): number {
  const start = (first + slot) * grid.cells;
  return Math.min(grid.cells, shape.npage / 2 ** grid.cellOrder - start);
}

function drawVirtualTile(frame: Frame, slot: number, y: number): void {
  const { grid, shape, first, bands, focus } = frame;
  const x = tileX(grid, slot);
  const size = tilePages(grid);
  const start = (first + slot) * size;
  const cells = cellsAt(frame, slot);
  const step = 2 ** grid.cellOrder;
  drawCells(frame, x, y, cells, (cell) => stateOf(bands, start + cell * step));
  const isLeaf = shape.folioOrder > 0;
  drawGlue(frame, x, y, cells, isLeaf ? cells : 1);
  drawOutline(frame, x, y, isLeaf);
  label(frame, `va 0x${(shape.vaddr + start).toString(16)}000`, x, y - 4);
  const bottom = y + grid.rows * grid.cell + LABEL - 2;
  label(frame, entriesText(shape, cells), x, bottom);
  if (focus >= start && focus < start + size)
    drawRing(frame, x, y, Math.floor((focus - start) / step), frame.palette.text);
}

function entriesText({ folioOrder }: MemoryShape, cells: number): string {
  if (folioOrder === 0) return `${count(cells)} PTEs`;
  return folioOrder > 9 ? 'one PUD leaf: 1G' : 'one PMD leaf: 2M';
}

function drawFrameTile(
  frame: Frame,
  tile: FrameTile,
  slot: number,
  y: number,
  all: readonly FrameTile[],
): void {
  const { grid, shape, bands, focus, step, ctx, palette } = frame;
  const x = tileX(grid, slot);
  const size = tilePages(grid);
  const cellPages = 2 ** grid.cellOrder;
  drawCells(frame, x, y, grid.cells, (cell) =>
    tile.pages[cell] < 0 ? null : stateOf(bands, tile.pages[cell]),
  );
  drawGlue(frame, x, y, grid.cells, shape.folioOrder > 0 ? grid.cells : 1);
  drawOutline(frame, x, y, shape.folioOrder > 0);
  label(frame, `pfn ${hex(tile.pfn)}`, x, y - 4);
  const bottom = y + grid.rows * grid.cell + LABEL - 2;
  label(frame, pinsText(frame, tile), x, bottom, 'text');
  if (slot > 0 && all[slot - 1].pfn + size !== tile.pfn) {
    ctx.fillStyle = palette.muted;
    ctx.fillText('⋯', x - 12, y + (grid.rows * grid.cell) / 2 + 4);
  }
  const at = tile.pages.indexOf(focus - (focus % cellPages));
  const wanted = neededFrame(step);
  const wantedCell = Math.floor((wanted - tile.pfn) / cellPages);
  if (wanted >= 0 && wantedCell >= 0 && wantedCell < grid.cells && wantedCell !== at)
    drawRing(frame, x, y, wantedCell, palette.wrong);
  if (at >= 0) drawRing(frame, x, y, at, palette.text);
}

/** The frame that a chunk would have needed to go on, at the step that finds that it does not. */
function neededFrame(step: Step): number {
  const ended = step.at(Col.kind) === Kind.take && step.at(Col.b) > 0;
  return ended ? step.at(Col.pfnBase) + step.at(Col.chunkPinned) : -1;
}

/** What is pinned of a tile's folios. */
function pinsText({ bands, shape, grid }: Frame, { pages }: FrameTile): string {
  const step = 2 ** grid.cellOrder;
  let pins = 0;
  let seen = 0;
  for (const page of pages) {
    if (page < 0) continue;
    seen++;
    pins += pinsIn(bands, page, page + step);
  }
  const folios = Math.max(1, (seen * step) / 2 ** shape.folioOrder);
  return `${plural(pins, 'pin')}, ${plural(folios, 'folio')}`;
}

function drawIommuTile(frame: Frame, slot: number, y: number): void {
  const { grid, shape, first, bands } = frame;
  const x = tileX(grid, slot);
  const size = tilePages(grid);
  const start = (first + slot) * size;
  const cells = cellsAt(frame, slot);
  const step = 2 ** grid.cellOrder;
  const mapped = (cell: number): boolean => stateOf(bands, start + cell * step) === 'mapped';
  drawCells(frame, x, y, cells, (cell) => (mapped(cell) ? 'mapped' : null));
  const order = leafOrderAt(shape.leafStarts, shape.leafOrders, start);
  const isLarge = 2 ** order >= cells * step;
  drawGlue(frame, x, y, cells, isLarge && mapped(0) ? cells : 1);
  drawOutline(frame, x, y, isLarge && mapped(0));
  drawScan(frame, x, y, start);
  label(frame, `iova 0x${(shape.iovaPn + start).toString(16)}000`, x, y - 4);
  let reached = 0;
  for (let cell = 0; cell < cells; cell++) if (mapped(cell)) reached += step;
  const bottom = y + grid.rows * grid.cell + LABEL - 2;
  label(frame, leavesText(reached, order, size), x, bottom, 'text');
}

/** Shades what iommu_iova_to_phys has read in this step. */
function drawScan(
  { ctx, grid, palette, step, shape }: Frame,
  x: number,
  y: number,
  start: number,
): void {
  if (step.fn !== 'iommu_iova_to_phys') return;
  const pages = 2 ** grid.cellOrder;
  const from = step.at(Col.a) - shape.iovaPn - start;
  const end = Math.min(from + step.at(Col.n), grid.cells * pages);
  ctx.fillStyle = palette.text;
  ctx.globalAlpha = 0.45;
  for (let cell = Math.max(0, Math.floor(from / pages)); cell * pages < end; cell++) {
    const left = x + (cell % grid.columns) * grid.cell;
    ctx.fillRect(left, y + Math.floor(cell / grid.columns) * grid.cell, grid.cell, grid.cell);
  }
  ctx.globalAlpha = 1;
}

function leavesText(reached: number, order: number, size: number): string {
  if (reached === 0) return 'not mapped';
  const leaf = formatSize(PAGE_SIZE * 2 ** order);
  if (2 ** order > size) return `part of a leaf of ${leaf}`;
  const leaves = Math.ceil(reached / 2 ** order);
  return leaves === 1 ? `1 leaf of ${leaf}` : `${count(leaves)} leaves of ${leaf}`;
}

/** Lines from the process's memory to the frames: faint per tile, strong for the page in question. */
function drawLines(frame: Frame, tiles: readonly FrameTile[], from: number, to: number): void {
  const { grid, first, focus, ctx, palette } = frame;
  const size = tilePages(grid);
  const half = (grid.columns * grid.cell) / 2;
  tiles.forEach((tile, slot) => {
    const owners = new Set<number>();
    for (const page of tile.pages) if (page >= 0) owners.add(Math.floor(page / size));
    for (const owner of owners) {
      const isFocus = owner === Math.floor(focus / size);
      ctx.strokeStyle = isFocus ? palette.text : palette.line;
      ctx.lineWidth = isFocus ? 1.75 : 1.25;
      const x1 = tileX(grid, owner - first) + half;
      const x2 = tileX(grid, slot) + half;
      const y1 = from + LABEL + 4;
      const y2 = to - LABEL - 4;
      ctx.beginPath();
      ctx.moveTo(x1, y1);
      ctx.bezierCurveTo(x1, (y1 + y2) / 2, x2, (y1 + y2) / 2, x2, y2);
      ctx.stroke();
    }
  });
}
