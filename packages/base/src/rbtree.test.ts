import { describe, expect, test } from 'vitest';
import { byKey, KeyNode } from '../test/red-black.ts';
import { RbTree } from './rbtree.ts';

function treeOf(...keys: number[]): RbTree<KeyNode> {
  const tree = new RbTree<KeyNode>(byKey);
  for (const key of keys) tree.insert(new KeyNode(key));
  return tree;
}

function keys(tree: RbTree<KeyNode>): number[] {
  return [...tree].map(({ key }) => key);
}

/** The node with a key, found as a user of the tree finds it: by a walk from the root. */
function find(tree: RbTree<KeyNode>, key: number): KeyNode {
  let at = tree.root;
  while (at && at.key !== key) at = key < at.key ? at.left : at.right;
  if (!at) throw new Error(`no node ${key}`);
  return at;
}

test('an empty tree has no first and no last node', () => {
  const tree = treeOf();
  expect([tree.root, tree.first(), tree.last(), tree.size]).toEqual([null, null, null, 0]);
  expect(keys(tree)).toEqual([]);
});

describe('insert', () => {
  test.each([
    ['ascending', [1, 2, 3, 4, 5, 6, 7]],
    ['descending', [7, 6, 5, 4, 3, 2, 1]],
    ['from the middle', [4, 2, 6, 1, 3, 5, 7]],
  ])('%s keys come out in order', (_, inserted) => {
    const tree = treeOf(...inserted);
    expect(keys(tree)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(tree.size).toBe(7);
    expect([tree.first()?.key, tree.last()?.key]).toEqual([1, 7]);
  });

  test('keeps equal nodes in the order of insertion', () => {
    const tree = treeOf(2, 1);
    const [a, b, c] = [new KeyNode(1), new KeyNode(1), new KeyNode(1)];
    for (const node of [a, b, c]) tree.insert(node);
    expect([...tree].slice(1, 4)).toEqual([a, b, c]);
  });

  test('finds a node again in at most 2 log2(n + 1) steps', () => {
    const n = 4095;
    const tree = treeOf(...Array.from({ length: n }, (_, i) => i));
    for (let key = 0; key < n; key += 7) {
      let steps = 0;
      for (let at = tree.root; at && at.key !== key; at = key < at.key ? at.left : at.right)
        steps++;
      expect(steps).toBeLessThan(24);
    }
  });
});

describe('next and prev', () => {
  test('step through the order and end with null', () => {
    const tree = treeOf(5, 1, 4, 2, 3);
    for (let key = 1; key <= 5; key++) {
      expect(tree.next(find(tree, key))?.key).toBe(key < 5 ? key + 1 : undefined);
      expect(tree.prev(find(tree, key))?.key).toBe(key > 1 ? key - 1 : undefined);
    }
  });
});

describe('erase', () => {
  test('unlinks the node and no other', () => {
    const tree = treeOf(1, 2, 3, 4, 5);
    const node = find(tree, 3);
    tree.erase(node);
    expect(keys(tree)).toEqual([1, 2, 4, 5]);
    expect(tree.size).toBe(4);
    expect([node.left, node.right, node.parent]).toEqual([null, null, null]);
  });

  test('of a node with two children leaves every other node object in the tree', () => {
    // A tree that copies a successor's key instead of moving the node would keep the wrong object.
    const tree = treeOf(4, 2, 6, 1, 3, 5, 7);
    const others = [...tree].filter((node) => node !== tree.root);
    tree.erase(tree.root!);
    expect([...tree]).toEqual(others);
  });

  test('of the last node leaves an empty tree', () => {
    const tree = treeOf(1);
    tree.erase(tree.root!);
    expect([tree.root, tree.size]).toEqual([null, 0]);
  });

  test('leaves a node that can be inserted again', () => {
    const tree = treeOf(1, 2, 3);
    const node = find(tree, 2);
    tree.erase(node);
    tree.insert(node);
    expect(keys(tree)).toEqual([1, 2, 3]);
  });
});
