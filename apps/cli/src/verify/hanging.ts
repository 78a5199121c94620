/** Paragraphs whose lines after the first are indented. */

/**
 * Wraps a paragraph between words.
 *
 * @param text the paragraph; spaces before its first word are kept
 * @param indent what every line after the first begins with
 * @param width columns of the terminal; a longer word is broken
 * @returns its lines, each ending in a line break
 */
export function hanging(text: string, indent: string, width: number): string {
  const [, first = '', words = ''] = /^( *)(.*)$/su.exec(text) ?? [];
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of words.split(' ').flatMap((long) => pieces(long, width - indent.length))) {
    if (!empty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = indent;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line].map((one) => `${one.trimEnd()}\n`).join('');
}

/** A word in pieces that fit into a line. */
function pieces(word: string, room: number): string[] {
  return word.length <= room ? [word] : (word.match(new RegExp(`.{1,${room}}`, 'gsu')) ?? []);
}
