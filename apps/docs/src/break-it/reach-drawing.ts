/** Draws which frames a device reaches, and which it should. */
import { html, nothing, svg, type TemplateResult } from 'lit-html';
import type { Reach, ReachedPage } from './reach.ts';

const ROW = 44;
const BOX = { width: 150, height: 30 };
/** Left edges of the three columns. */
const LEFT = { iova: 4, frame: 240, page: 476 };
const WIDTH = LEFT.page + BOX.width + 4;
const TOP = 28;

/**
 * Draws it, with the same in a table for those who do not see the drawing.
 *
 * @param reach what the device reaches
 * @returns the drawing and the table
 */
export function reachDrawing(reach: Reach): TemplateResult {
  const frames = [...new Set(reach.pages.flatMap(({ frame, reached }) => [frame, reached]))]
    .filter((frame) => frame !== null)
    .sort((a, b) => a - b);
  const rows = Math.max(frames.length, reach.pages.length);
  const shown = frames.map((frame) => ({ frame, y: rowTop(frames.indexOf(frame)) }));
  const at = new Map(shown.map(({ frame, y }) => [frame, y]));
  return html`
    <div class="wide drawing" tabindex="0" role="region" aria-label="What the device reaches">
      <svg
        viewBox=${`0 0 ${WIDTH} ${TOP + rows * ROW}`}
        width=${WIDTH}
        role="img"
        aria-label="Drawing; the table below says the same"
      >
        ${heading(LEFT.iova, 'the device: IOVA')} ${heading(LEFT.frame, 'physical frame')}
        ${heading(LEFT.page, 'the process: page')}
        ${reach.pages.map((page, row) => arrowsOf(page, row, at))}
        ${reach.pages.map((page, row) => pageBoxes(page, row))}
        ${shown.map(({ frame, y }) => box(LEFT.frame, y, hex(frame), stolen(frame, reach)))}
      </svg>
    </div>
    ${tableOf(reach)}
  `;
}

const rowTop = (row: number): number => TOP + row * ROW;
const hex = (frame: number): string => `0x${frame.toString(16)}`;
const isWrong = ({ frame, reached }: ReachedPage): boolean => frame !== reached;

/** Whether a device reaches the frame through a page that is not it. */
function stolen(frame: number, { pages }: Reach): boolean {
  return pages.some((page) => page.reached === frame && isWrong(page));
}

function heading(x: number, text: string): TemplateResult {
  return svg`<text x=${x} y="16" class="column">${text}</text>`;
}

function box(x: number, y: number, text: string, wrong: boolean): TemplateResult {
  return svg`<g class=${wrong ? 'wrong' : ''}>
    <rect x=${x} y=${y} width=${BOX.width} height=${BOX.height} rx="4"></rect>
    <text x=${x + BOX.width / 2} y=${y + 20} text-anchor="middle">${text}</text>
  </g>`;
}

function pageBoxes(page: ReachedPage, row: number): TemplateResult {
  const y = rowTop(row);
  return svg`${box(LEFT.iova, y, page.iova, isWrong(page))}
    ${box(LEFT.page, y, page.mapped ?? 'not mapped', false)}`;
}

/** From the IOVA to the frame that the device reaches, and from there to the page it should be. */
function arrowsOf(page: ReachedPage, row: number, at: ReadonlyMap<number, number>): TemplateResult {
  const y = rowTop(row) + BOX.height / 2;
  const line = (x1: number, y1: number, x2: number, y2: number, wrong: boolean): TemplateResult =>
    svg`<line class=${wrong ? 'wrong' : ''} x1=${x1} y1=${y1} x2=${x2} y2=${y2}></line>`;
  const reached = page.reached === null ? undefined : at.get(page.reached);
  const own = page.frame === null ? undefined : at.get(page.frame);
  const middle = BOX.height / 2;
  return svg`${
    reached === undefined
      ? nothing
      : line(LEFT.iova + BOX.width, y, LEFT.frame, reached + middle, isWrong(page))
  }${own === undefined ? nothing : line(LEFT.page, y, LEFT.frame + BOX.width, own + middle, false)}`;
}

function tableOf({ pages }: Reach): TemplateResult {
  return html`<div class="wide" tabindex="0" role="region" aria-label="Pages and frames">
    <table class="reach">
      <thead>
        <tr>
          <th scope="col">IOVA</th>
          <th scope="col">mapped there</th>
          <th scope="col">its frame</th>
          <th scope="col">the device reaches</th>
          <th scope="col">that is</th>
        </tr>
      </thead>
      <tbody>
        ${pages.map(
          (page) =>
            html`<tr class=${isWrong(page) ? 'refused' : ''}>
              <th scope="row">${page.iova}</th>
              <td>${page.mapped ?? 'nothing'}</td>
              <td>${page.frame === null ? 'none' : hex(page.frame)}</td>
              <td>${page.reached === null ? 'nothing' : hex(page.reached)}</td>
              <td>
                ${
                  isWrong(page)
                    ? html`<strong>${page.owner ?? 'not the process’s'}</strong>`
                    : 'the page mapped there'
                }
              </td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
