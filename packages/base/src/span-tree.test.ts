import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SpanTree, type Span } from './span-tree.ts';

interface Named extends Span {
  readonly name: number;
}

const span = fc.record({ at: fc.nat(60), npage: fc.integer({ min: 1, max: 9 }) });
const step = fc.oneof(
  fc.record({ op: fc.constant('with' as const), span }),
  fc.record({ op: fc.constant('without' as const), nth: fc.nat(20) }),
  fc.record({ op: fc.constant('range' as const), from: fc.nat(60), npage: fc.nat(20) }),
);

const byPlace = (a: Named, b: Named): number => a.at - b.at || a.name - b.name;

it('is the sorted list of its spans, and every version stays as it was', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.nat(60), fc.nat(20), (steps, from, npage) => {
      let tree = SpanTree.empty<Named>();
      let list: Named[] = [];
      const versions: [SpanTree<Named>, Named[]][] = [];
      for (const [name, one] of steps.entries()) {
        if (one.op === 'with') {
          const added = { ...one.span, name };
          tree = tree.with(added);
          list = [...list, added].sort(byPlace);
        } else if (one.op === 'without') {
          const gone = list[one.nth % Math.max(1, list.length)];
          if (gone) tree = tree.without(gone);
          list = list.filter((other) => other !== gone);
        } else {
          const to = one.from + one.npage;
          const fresh = one.npage > 0 ? [{ at: one.from, npage: 1, name }] : [];
          tree = tree.withRange(one.from, to, fresh);
          const kept = list.filter(({ at }) => at < one.from || at >= to);
          list = [...kept, ...fresh].sort(byPlace);
        }
        versions.push([tree, list]);
      }
      for (const [version, spans] of versions) {
        expect([...version]).toEqual(spans);
        expect(version.size).toBe(spans.length);
        const to = from + npage;
        expect([...version.overlapping(from, to)]).toEqual(
          spans.filter(({ at, npage: length }) => at < to && at + length > from && npage > 0),
        );
        expect(version.before(from)).toBe(spans.findLast(({ at }) => at < from));
        expect(version.from(from)).toBe(spans.find(({ at }) => at >= from));
      }
    }),
  );
});

it('leaves a tree alone that does not have the span', () => {
  const tree = SpanTree.empty<Span>().with({ at: 1, npage: 1 });
  expect(tree.without({ at: 1, npage: 1 })).toBe(tree);
});

it('is no deeper than a logarithm for spans in order: a hundred thousand are added and found', () => {
  let tree = SpanTree.empty<Span>();
  for (let at = 0; at < 100_000; at++) tree = tree.with({ at, npage: 1 });
  expect(tree.size).toBe(100_000);
  expect([...tree.overlapping(77_777, 77_779)].map(({ at }) => at)).toEqual([77_777, 77_778]);
});

it('takes as many spans that begin at one page as there are', () => {
  const count = 60_000;
  const spans = Array.from({ length: count }, (_, name): Named => ({ at: 7, npage: 1, name }));
  let tree = SpanTree.empty<Named>();
  for (const one of spans) tree = tree.with(one);
  expect([...tree].map(({ name }) => name)).toEqual(spans.map(({ name }) => name));
  for (const one of spans) tree = tree.without(one);
  expect(tree.size).toBe(0);
});
