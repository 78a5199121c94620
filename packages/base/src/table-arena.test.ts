import { describe, expect, test } from 'vitest';
import { ModelBug } from './errors.ts';
import { LEAF, TableArena } from './table-arena.ts';
import { PTRS_PER_TABLE } from './units.ts';

/** Entries of a table that are not absent. */
function presentIn(arena: TableArena, table: number): number[] {
  const entries = Array.from({ length: PTRS_PER_TABLE }, (_, i) => table * PTRS_PER_TABLE + i);
  return entries.filter((i) => arena.child[i] || arena.frame[i] || arena.bits[i]);
}

test('tables are numbered from 1, because 0 is an absent entry', () => {
  const arena = new TableArena(true, 9);
  expect([arena.alloc(), arena.alloc(), arena.alloc()]).toEqual([1, 2, 3]);
  expect(LEAF).toBeLessThan(0);
});

test('an arena of last-level tables has no child entries', () => {
  const arena = new TableArena(false, 9);
  arena.reserve(100);
  expect(arena.child.length).toBe(0);
  expect(arena.frame.length).toBe(arena.bits.length);
});

test('live counts the tables in use', () => {
  const arena = new TableArena(true, 9);
  const first = arena.alloc();
  arena.alloc();
  arena.free(first);
  expect(arena.live).toBe(1);
  arena.alloc();
  expect(arena.live).toBe(2);
});

test('a table that was given back is empty when it is used again', () => {
  const arena = new TableArena(true, 9);
  const table = arena.alloc();
  for (const i of [0, 1, 511]) {
    arena.child[table * PTRS_PER_TABLE + i] = LEAF;
    arena.frame[table * PTRS_PER_TABLE + i] = 2 ** 30;
    arena.bits[table * PTRS_PER_TABLE + i] = 3;
  }
  arena.free(table);
  expect(arena.alloc()).toBe(table);
  expect(presentIn(arena, table)).toEqual([]);
});

describe('growing', () => {
  test('keeps what the tables hold', () => {
    const arena = new TableArena(true, 9);
    const tables = Array.from({ length: 1000 }, () => {
      const table = arena.alloc();
      arena.child[table * PTRS_PER_TABLE + 511] = table;
      arena.admitFrames(2 ** 40 + table + 1);
      arena.frame[table * PTRS_PER_TABLE + 511] = 2 ** 40 + table;
      arena.bits[table * PTRS_PER_TABLE + 511] = table % 256;
      return table;
    });
    for (const table of tables) {
      const entry = table * PTRS_PER_TABLE + 511;
      expect([arena.child[entry], arena.frame[entry], arena.bits[entry]]).toEqual([
        table,
        2 ** 40 + table,
        table % 256,
      ]);
    }
  });

  test('keeps the view of four entries a word on the same bits', () => {
    const arena = new TableArena(false, 9);
    for (let i = 0; i < 100; i++) {
      const entry = arena.alloc() * PTRS_PER_TABLE;
      arena.bits.fill(1, entry, entry + 4);
      expect(arena.words[entry / 4]).toBe(0x01010101);
    }
  });

  test('is done beforehand by reserve: the arrays stay while the tables are taken', () => {
    const arena = new TableArena(true, 9);
    arena.reserve(500);
    const { child, frame, bits } = arena;
    for (let i = 0; i < 500; i++) arena.alloc();
    expect(arena.child).toBe(child);
    expect(arena.frame).toBe(frame);
    expect(arena.bits).toBe(bits);
  });

  test('is not done by reserve for tables that were given back', () => {
    const arena = new TableArena(true, 9);
    const tables = Array.from({ length: 20 }, () => arena.alloc());
    for (const table of tables) arena.free(table);
    const { bits } = arena;
    arena.reserve(20);
    expect(arena.bits).toBe(bits);
  });
});

describe('frames', () => {
  test('of any size can be stored once they are admitted, and those from before stay', () => {
    const arena = new TableArena(false, 9);
    const first = arena.alloc() * PTRS_PER_TABLE;
    arena.admitFrames(2 ** 31);
    arena.frame[first] = 2 ** 31 - 1;
    arena.admitFrames(2 ** 36 + 1);
    arena.frame[first + 1] = 2 ** 36;
    arena.admitFrames(5);
    for (let i = 0; i < 100; i++) arena.alloc();
    expect([arena.frame[first], arena.frame[first + 1], arena.frame[first + 2]]).toEqual([
      2 ** 31 - 1,
      2 ** 36,
      0,
    ]);
  });

  test('are kept in half the room while they fit', () => {
    const arena = new TableArena(false, 9);
    arena.admitFrames(2 ** 31);
    arena.reserve(1000);
    expect(arena.frame.BYTES_PER_ELEMENT).toBe(4);
    arena.admitFrames(2 ** 31 + 1);
    expect(arena.frame.BYTES_PER_ELEMENT).toBe(8);
  });
});

test.each([0, -1, 2])(
  'giving back table %d, which was never made, is a bug of the model',
  (table) => {
    const arena = new TableArena(true, 9);
    arena.alloc();
    expect(() => arena.free(table)).toThrow(ModelBug);
  },
);
