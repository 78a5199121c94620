import { describe, expect, it } from 'vitest';
import { formatCount, tableMarkdown, tableText, type Column } from './table.ts';

interface Fruit {
  readonly name: string;
  readonly weight: number;
  readonly price: number;
}

const columns: Column<Fruit>[] = [
  { group: '', heading: 'fruit', words: true, cell: ({ name }) => name },
  { group: 'measured', heading: 'grams', cell: ({ weight }) => String(weight) },
  { group: 'measured', heading: 'euro\nper kg', cell: ({ price }) => price.toFixed(2) },
];

describe('tableText', () => {
  it('sets words left and figures right, headings at the bottom, groups above them', () => {
    const rows = [
      { name: 'apple', weight: 180, price: 2.5 },
      { name: 'watermelon', weight: 5200, price: 0.99 },
    ];
    expect(tableText(columns, rows).split('\n')).toEqual([
      '              measured',
      '                     euro',
      'fruit       grams  per kg',
      'apple         180    2.50',
      'watermelon   5200    0.99',
      '',
    ]);
  });

  it('leaves out headings that nobody has, and wraps between words', () => {
    const words: Column<string>[] = [
      { group: '', heading: '', words: true, cell: () => '-' },
      { group: '', heading: '', words: true, width: 12, cell: (text) => text },
    ];
    expect(tableText(words, ['one two three four'])).toBe('-  one two\n   three four\n');
  });
});

describe('tableMarkdown', () => {
  it('pads cells, sets figures right, and puts the group before a heading that has no short one', () => {
    const [name, weight, price] = columns;
    const rows = [{ name: 'a|b', weight: 5200, price: 0.5 }];
    expect(tableMarkdown([name, weight, { ...price, short: 'price' }], rows).split('\n')).toEqual([
      '| fruit | measured grams | price |',
      '| ----- | -------------: | ----: |',
      '| a\\|b  |           5200 |  0.50 |',
      '',
    ]);
  });
});

describe('formatCount', () => {
  it('separates thousands', () => {
    expect([0, 999, 1000, 4_194_304].map(formatCount)).toEqual(['0', '999', '1,000', '4,194,304']);
  });
});
