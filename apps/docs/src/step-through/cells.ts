/** Drawing cells: fields of colour, the lines between them, rings and labels. */
import type { PageState } from './bands.ts';
import type { Grid } from './tiles.ts';

/** Colours, from the page's style. */
export type Palette = Readonly<
  Record<PageState | 'text' | 'muted' | 'line' | 'background' | 'wrong' | 'absent', string>
>;

/** Where is drawn, and how. */
export interface Canvas {
  /** The canvas. */
  readonly ctx: CanvasRenderingContext2D;
  /** Sizes of cells and tiles. */
  readonly grid: Grid;
  /** The colours. */
  readonly palette: Palette;
}

/**
 * Fills cells: runs of one colour in a row are one rectangle.
 *
 * @param on where is drawn
 * @param x left edge
 * @param y upper edge
 * @param cells number of cells
 * @param state state of a cell, which has its colour; null: nothing is there
 */
export function drawCells(
  { ctx, grid, palette }: Canvas,
  x: number,
  y: number,
  cells: number,
  state: (cell: number) => PageState | null,
): void {
  const { columns, cell } = grid;
  for (let from = 0; from < cells;) {
    const colour = state(from);
    const rowEnd = Math.min(cells, from + columns - (from % columns));
    let end = from + 1;
    while (end < rowEnd && state(end) === colour) end++;
    ctx.fillStyle = palette[colour ?? 'absent'];
    const top = y + Math.floor(from / columns) * cell;
    ctx.fillRect(x + (from % columns) * cell, top, (end - from) * cell, cell);
    from = end;
  }
}

/**
 * Lines between cells: strong between things that stand alone, faint inside one thing.
 *
 * @param on where is drawn
 * @param x left edge
 * @param y upper edge
 * @param cells number of cells
 * @param together cells that are one thing, such as the pages of a folio
 */
export function drawGlue(
  { ctx, grid, palette }: Canvas,
  x: number,
  y: number,
  cells: number,
  together: number,
): void {
  const { columns, cell } = grid;
  const rows = Math.ceil(cells / columns);
  const width = Math.min(cells, columns) * cell;
  ctx.strokeStyle = palette.background;
  ctx.lineWidth = 1;
  ctx.globalAlpha = together >= cells && cells > 1 ? 0.22 : 0.9;
  ctx.beginPath();
  for (let row = 1; row < rows; row++) {
    ctx.moveTo(x, y + row * cell);
    ctx.lineTo(x + width, y + row * cell);
  }
  for (let column = 1; column < columns; column++) {
    ctx.moveTo(x + column * cell, y);
    ctx.lineTo(x + column * cell, y + rows * cell);
  }
  ctx.stroke();
  ctx.globalAlpha = 1;
}

/**
 * Draws a tile's border.
 *
 * @param on where is drawn
 * @param x left edge
 * @param y upper edge
 * @param strong whether the tile is one thing: a folio, or a large leaf
 */
export function drawOutline(
  { ctx, grid, palette }: Canvas,
  x: number,
  y: number,
  strong: boolean,
): void {
  ctx.strokeStyle = strong ? palette.text : palette.line;
  ctx.lineWidth = strong ? 1.5 : 1;
  ctx.strokeRect(x, y, grid.columns * grid.cell, grid.rows * grid.cell);
}

/**
 * A ring around a cell, so that the eye finds it.
 *
 * @param on where is drawn
 * @param x left edge of the tile
 * @param y upper edge of the tile
 * @param cell the cell
 * @param colour the ring's colour
 */
export function drawRing(
  { ctx, grid, palette }: Canvas,
  x: number,
  y: number,
  cell: number,
  colour: string,
): void {
  const size = grid.cell;
  const left = x + (cell % grid.columns) * size;
  const top = y + Math.floor(cell / grid.columns) * size;
  ctx.lineWidth = 4;
  ctx.strokeStyle = palette.background;
  ctx.strokeRect(left, top, size, size);
  ctx.lineWidth = 2;
  ctx.strokeStyle = colour;
  ctx.strokeRect(left, top, size, size);
}

/**
 * Writes a label of a tile, no wider than it.
 *
 * @param on where is drawn
 * @param text the label
 * @param x left edge
 * @param y base line
 * @param colour which of the two colours of text
 */
export function label(
  { ctx, palette, grid }: Canvas,
  text: string,
  x: number,
  y: number,
  colour: 'text' | 'muted' = 'muted',
): void {
  ctx.fillStyle = palette[colour];
  ctx.fillText(text, x, y, Math.max(90, grid.columns * grid.cell));
}
