/** The colours of states: in the drawings, and in the list that explains them. */
import { PAGE_STATES, type PageState } from './bands.ts';
import type { Palette } from './cells.ts';
import { h } from './dom.ts';

/**
 * What the colours mean.
 *
 * @returns a list
 */
export function legend(): HTMLElement {
  const states = Object.entries(PAGE_STATES) as [PageState, string][];
  const items = states
    .filter(([state]) => state !== 'released')
    .map(([state, text]) => h('li', {}, h('span', { className: `st-swatch st-${state}` }), text));
  items.push(
    h('li', {}, h('span', { className: 'st-swatch st-next' }), 'page in question'),
    h('li', {}, h('span', { className: 'st-swatch st-needed' }), 'frame needed'),
  );
  const list = h('ul', { className: 'st-legend' }, ...items);
  list.ariaLabel = 'Colours';
  return list;
}

/**
 * The colours of the page's theme.
 *
 * @param element an element with the page's style
 * @returns the colours
 */
export function readPalette(element: HTMLElement): Palette {
  const style = getComputedStyle(element);
  const colour = (name: string): string => style.getPropertyValue(`--st-${name}`).trim();
  return {
    idle: colour('idle'),
    pinned: colour('pinned'),
    chunk: colour('chunk'),
    mapped: colour('mapped'),
    waiting: colour('waiting'),
    released: colour('released'),
    text: colour('text'),
    muted: colour('muted'),
    line: colour('line'),
    background: colour('background'),
    wrong: colour('wrong'),
    absent: colour('absent'),
  };
}
