/** Tables and paragraphs for a terminal. */
import { outputWidth } from './output.ts';

export { formatCount, tableText, tableWidth, type Column } from '@pinfold/bench';

/** Wider than this, a paragraph is hard to read. */
const MAX_TEXT_WIDTH = 100;

/**
 * Wraps a paragraph between words, at the width of the terminal.
 *
 * @param text the paragraph
 * @param indent what every line begins with
 * @param first what the first line begins with in its place; default the same
 * @returns its lines, each ending in a line break
 */
export function wrapped(text: string, indent: string, first: string = indent): string {
  const width = Math.min(outputWidth(), MAX_TEXT_WIDTH);
  let line = first;
  let isEmpty = true;
  let lines = '';
  for (const word of text.split(' ')) {
    if (!isEmpty && line.length + 1 + word.length > width) {
      lines += `${line}\n`;
      line = indent;
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return `${lines}${line}\n`;
}
