import { describe, expect, it } from 'vitest';
import { markdownStyle, textStyle } from './style.ts';
import type { Column } from './table.ts';

const key: Column<number> = { heading: 'row', words: true, cell: (n) => `row ${n}` };

/** Columns of figures, all of the same width. */
function figures(group: string, count: number): Column<number>[] {
  return Array.from({ length: count }, (_, i) => ({
    ...{ group, heading: `${group}${i}`, short: `${group}${i}` },
    cell: (n) => String(n).repeat(8),
  }));
}

/** The headings of each table. */
function headingsOf(text: string): string[][] {
  return text.split('\n\n').map((table) => table.match(/\b[a-z]\d\b/g) ?? []);
}

describe.each([
  { name: 'textStyle', style: textStyle(60), width: 60, perTable: 5 },
  { name: 'markdownStyle', style: markdownStyle, width: 80, perTable: 6 },
])('$name', ({ style, width, perTable }) => {
  it('puts everything into one table that is narrow enough', () => {
    const text = style.tables([key], [figures('a', perTable - 1), figures('b', 1)], [1, 2]);
    expect(headingsOf(text)).toHaveLength(1);
    expect(text.match(/row 1/g)).toHaveLength(1);
  });

  it('makes a table of every part when one is too wide', () => {
    const text = style.tables([key], [figures('a', perTable), figures('b', 1)], [1, 2]);
    expect(headingsOf(text).map((names) => names.length)).toEqual([perTable, 1]);
  });

  it('cuts a part that is too wide itself into even pieces, with the keys in each', () => {
    const text = style.tables([key], [figures('a', perTable + 1)], [1, 2]);
    const [first, second, ...others] = headingsOf(text);
    expect([...first, ...second]).toHaveLength(perTable + 1);
    expect(Math.abs(first.length - second.length)).toBeLessThanOrEqual(1);
    expect(others).toEqual([]);
    expect(text.match(/row 1/g)).toHaveLength(2);
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(width);
  });

  it('wraps paragraphs and notes between words, and loses none', () => {
    const words = Array.from({ length: 60 }, (_, i) => `word${i}`).join(' ');
    for (const text of [style.paragraph(words), style.notes([{ label: 'words', text: words }])]) {
      expect(text.match(/word\d+/g)).toEqual(words.split(' '));
      for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(width);
    }
  });
});
