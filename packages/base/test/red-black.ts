/** A node with a key, and the red-black properties of a tree. */
import { RbNode, type RbTree } from '../src/rbtree.ts';

/** A node ordered by its key. */
export class KeyNode extends RbNode {
  readonly key: number;

  constructor(key: number) {
    super();
    this.key = key;
  }
}

/** Order of {@link KeyNode}: trees of them are made with this. */
export function byKey(a: KeyNode, b: KeyNode): boolean {
  return a.key < b.key;
}

/**
 * Checks a subtree.
 *
 * @returns its black height: black nodes on every way down, the null leaf included
 * @throws Error naming the property that is broken
 */
function blackHeight<N extends RbNode>(node: N | null, parent: N | null): number {
  if (!node) return 1;
  if (node.parent !== parent) throw new Error('a parent link leads elsewhere');
  if (node.red && parent?.red) throw new Error('a red node has a red parent');
  const left = blackHeight(node.left, node);
  const right = blackHeight(node.right, node);
  if (left !== right) throw new Error('two ways down differ in their black nodes');
  return left + (node.red ? 0 : 1);
}

/**
 * Throws unless a tree is a red-black tree: black root, no red node below a red one, the same
 * number of black nodes on every way down, and parent links that match the child links.
 */
export function checkRedBlack<N extends RbNode>(tree: RbTree<N>): void {
  if (tree.root?.red) throw new Error('the root is red');
  blackHeight(tree.root, null);
}
