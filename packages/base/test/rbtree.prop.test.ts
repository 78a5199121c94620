// The red-black tree against a sorted array, after every step of random insertions and erasures.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RbTree } from '../src/rbtree.ts';
import { byKey, checkRedBlack, KeyNode } from './red-black.ts';

/** PINFOLD_SEED=7 takes other seeds for all properties, the same with every 7. */
const SEED = Number(process.env.PINFOLD_SEED ?? 0);

/** Insert a key, or erase the node at a position of the order. */
const step = fc.oneof(
  fc.record({ insert: fc.nat({ max: 60 }) }),
  fc.record({ eraseAt: fc.nat({ max: 999 }) }),
);

function checkSteps(steps: readonly ({ insert: number } | { eraseAt: number })[]): void {
  const tree = new RbTree<KeyNode>(byKey);
  const sorted: KeyNode[] = [];
  for (const what of steps) {
    if ('insert' in what) {
      const node = new KeyNode(what.insert);
      tree.insert(node);
      const after = sorted.findIndex(({ key }) => key > node.key);
      sorted.splice(after < 0 ? sorted.length : after, 0, node);
    } else if (sorted.length > 0) {
      const [node] = sorted.splice(what.eraseAt % sorted.length, 1);
      tree.erase(node);
    }
    checkRedBlack(tree);
    checkOrder(tree, sorted);
  }
}

/** The same node objects in the same order, from either end. */
function checkOrder(tree: RbTree<KeyNode>, sorted: readonly KeyNode[]): void {
  expect(tree.size).toBe(sorted.length);
  expect([...tree].every((node, i) => node === sorted[i])).toBe(true);
  const backwards: KeyNode[] = [];
  for (let at = tree.last(); at; at = tree.prev(at)) backwards.push(at);
  expect(backwards.length).toBe(sorted.length);
  expect(backwards.every((node, i) => node === sorted[sorted.length - 1 - i])).toBe(true);
}

test('keeps order, links and balance', () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 120, size: 'max' }), checkSteps), {
    seed: SEED + 3,
    numRuns: 300,
  });
});

test('stays balanced while a large tree is emptied in a shuffled order', () => {
  const n = 1023;
  fc.assert(
    fc.property(
      fc.shuffledSubarray(
        Array.from({ length: n }, (_, i) => i),
        { minLength: n },
      ),
      (order) => {
        const tree = new RbTree<KeyNode>(byKey);
        const nodes = Array.from({ length: n }, (_, key) => new KeyNode(key));
        for (const node of nodes) tree.insert(node);
        for (const [i, key] of order.entries()) {
          tree.erase(nodes[key]);
          if (i % 16 === 0) checkRedBlack(tree);
        }
        expect(tree.root).toBeNull();
      },
    ),
    { seed: SEED + 4, numRuns: 5 },
  );
});
