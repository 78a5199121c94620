import { Counters, InputError } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { ioPageTableFormat, ioPageTableFormats } from './index.ts';

describe.each(ioPageTableFormats.map((format) => [format.name, format] as const))(
  '%s',
  (name, format) => {
    test('is found by its name and says what it is', () => {
      expect(ioPageTableFormat(name)).toBe(format);
      expect(format.summary).toMatch(/\S/);
    });

    test('makes an empty page table', () => {
      const table = format.create({ addressWidth: 48, superpageOrders: [9, 18] }, new Counters());
      expect([...table.leaves()]).toEqual([]);
      expect(table.tablePages).toBe(1);
      expect(table.pageOrders).toEqual([...table.pageOrders].sort((a, b) => a - b));
    });
  },
);

test('names are unique', () => {
  const names = ioPageTableFormats.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});

test('an unknown name is refused, with those that exist', () => {
  expect(() => ioPageTableFormat('amd-v2')).toThrow(InputError);
  expect(() => ioPageTableFormat('amd-v2')).toThrow(/one of .*vtd-second-level.*, got 'amd-v2'/);
});
