import { InputError } from '@pinfold/base';
import { describe, expect, it } from 'vitest';
import { backing, backings } from './backings.ts';
import { layout, layouts } from './layouts.ts';
import { memoriesOf, type MemoryChoice } from './memories.ts';

const PLACES = { backings: '--backing', layouts: '--layout' };

function choice(names: string | null, tags: string | null): MemoryChoice {
  return {
    backings: names?.split(',').map((name) => backing(name)),
    layouts: tags?.split(',').map((tag) => layout(tag)),
  };
}

function namesOf(names: string | null, tags: string | null, bytes?: number): string[] {
  return memoriesOf({ ...choice(names, tags), bytes }, PLACES).map(
    (memory) => `${memory.backing.name} ${memory.layout.tag}`,
  );
}

describe('memoriesOf', () => {
  it.each<[string | null, string | null, string[]]>([
    [null, null, ['4k S4', '4k T4', 'thp H2', 'hugetlb-2m H2', 'hugetlb-1g H1']],
    ['thp,4k', null, ['4k S4', '4k T4', 'thp H2']],
    [null, 'S4', ['4k S4']],
    [
      null,
      'H1-adjacent,H2-adjacent',
      ['thp H2-adjacent', 'hugetlb-2m H2-adjacent', 'hugetlb-1g H1-adjacent'],
    ],
    ['hugetlb-2m', 'H2,H2-adjacent', ['hugetlb-2m H2', 'hugetlb-2m H2-adjacent']],
  ])('pairs %s with %s, small folios first', (names, tags, expected) => {
    expect(namesOf(names, tags)).toEqual(expected);
  });

  it.each<[string | null, string | null, number, string[]]>([
    [null, null, 2 ** 29, ['4k S4', '4k T4', 'thp H2', 'hugetlb-2m H2']],
    [null, null, 2 ** 16, ['4k S4', '4k T4']],
    // What was asked for stays, by its name or by its layout.
    ['4k,hugetlb-1g', null, 2 ** 29, ['4k S4', '4k T4', 'hugetlb-1g H1']],
    [null, 'S4,H1', 2 ** 29, ['4k S4', 'hugetlb-1g H1']],
  ])('of %s with %s, those that suit %d bytes', (names, tags, bytes, expected) => {
    expect(namesOf(names, tags, bytes)).toEqual(expected);
  });

  it('gives every backing some layout, and every layout some backing', () => {
    const pairs = memoriesOf({ layouts: Object.values(layouts) });
    expect(new Set(pairs.map((memory) => memory.backing))).toEqual(new Set(backings));
    expect(new Set(pairs.map((memory) => memory.layout))).toEqual(new Set(Object.values(layouts)));
  });

  it('refuses what was asked for and has no partner', () => {
    expect(() => namesOf('thp,hugetlb-1g', 'H2,S4')).toThrow(
      new InputError('--layout', 'a layout of hugetlb-1g, such as H1, H1-adjacent', "'H2,S4'"),
    );
    expect(() => namesOf('thp', 'H2,S4')).toThrow(
      new InputError('--backing', 'a backing that lies as S4, such as 4k', "'thp'"),
    );
  });
});
