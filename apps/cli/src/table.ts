/** Tables and paragraphs for a terminal. */
export { formatCount, tableText, type Column } from '@pinfold/bench';

/** Width of a paragraph. */
const TEXT_WIDTH = 100;

/**
 * Wraps a paragraph between words.
 *
 * @param text the paragraph
 * @param indent what every line begins with
 * @returns its lines, each ending in a line break
 */
export function wrapped(text: string, indent: string): string {
  let line = '';
  let lines = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent.length + line.length + 1 + word.length > TEXT_WIDTH) {
      lines += `${indent}${line}\n`;
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return `${lines}${indent}${line}\n`;
}
