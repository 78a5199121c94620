/**
 * Red-black tree with intrusive nodes, as the kernel uses for its vfio_dma and vfio_pfn trees.
 * Look-ups are written by the user of the tree as a walk from `root`, so that each can count the
 * nodes that it visits; the tree itself keeps the balance and the order.
 *
 * After Cormen et al., "Introduction to Algorithms", chapter 13, with null leaves.
 */

/** A node of a {@link RbTree}; records extend it. */
export class RbNode {
  /** Left child: nodes ordered before this one. */
  left: this | null = null;
  /** Right child: nodes ordered after this one. */
  right: this | null = null;
  /** Parent, null at the root and outside a tree. */
  parent: this | null = null;
  /** Colour; a null leaf counts as black. */
  red = false;
}

/** An ordered set of nodes. */
export class RbTree<N extends RbNode> {
  /** Topmost node, where look-ups start. */
  root: N | null = null;
  /** Number of nodes. */
  size = 0;
  readonly #before: (a: N, b: N) => boolean;

  /** @param before strict order of the nodes; equal nodes are kept in the order of insertion */
  constructor(before: (a: N, b: N) => boolean) {
    this.#before = before;
  }

  /**
   * Links a node at its place.
   *
   * @param node a node that is in no tree
   */
  insert(node: N): void {
    let parent: N | null = null;
    let at = this.root;
    let left = false;
    while (at) {
      parent = at;
      left = this.#before(node, at);
      at = left ? at.left : at.right;
    }
    node.parent = parent;
    node.left = node.right = null;
    node.red = true;
    if (!parent) this.root = node;
    else if (left) parent.left = node;
    else parent.right = node;
    this.size++;
    this.#rebalanceInsert(node);
  }

  /**
   * Unlinks a node.
   *
   * @param node a node of this tree
   */
  erase(node: N): void {
    // A node with two children changes places with its successor, which has no left child.
    if (node.left && node.right) this.#swapWithSuccessor(node);
    const child = node.left ?? node.right;
    const parent = node.parent;
    const wasLeft = parent !== null && parent.left === node;
    this.#replace(node, child);
    if (!node.red) this.#rebalanceErase(child, parent, wasLeft);
    node.left = node.right = node.parent = null;
    this.size--;
  }

  /** @returns the first node in order, null if empty */
  first(): N | null {
    let at = this.root;
    while (at?.left) at = at.left;
    return at;
  }

  /** @returns the last node in order, null if empty */
  last(): N | null {
    let at = this.root;
    while (at?.right) at = at.right;
    return at;
  }

  /**
   * @param node a node of this tree
   * @returns the node after it in order (rb_next)
   */
  next(node: N): N | null {
    let at: N | null = node.right;
    if (at) {
      while (at.left) at = at.left;
      return at;
    }
    let below = node;
    for (at = node.parent; at && at.right === below; at = at.parent) below = at;
    return at;
  }

  /**
   * @param node a node of this tree
   * @returns the node before it in order (rb_prev)
   */
  prev(node: N): N | null {
    let at: N | null = node.left;
    if (at) {
      while (at.right) at = at.right;
      return at;
    }
    let below = node;
    for (at = node.parent; at && at.left === below; at = at.parent) below = at;
    return at;
  }

  /**
   * All nodes in order. The tree must not change meanwhile.
   *
   * @returns an iterator over the nodes
   */
  *[Symbol.iterator](): Generator<N, void> {
    for (let at = this.first(); at; at = this.next(at)) yield at;
  }

  #replace(node: N, child: N | null): void {
    const parent = node.parent;
    if (!parent) this.root = child;
    else if (parent.left === node) parent.left = child;
    else parent.right = child;
    if (child) child.parent = parent;
  }

  #rotate(node: N, toLeft: boolean): void {
    const up = toLeft ? node.right : node.left;
    if (!up) return;
    const inner = toLeft ? up.left : up.right;
    this.#replace(node, up);
    if (toLeft) {
      node.right = inner;
      up.left = node;
    } else {
      node.left = inner;
      up.right = node;
    }
    if (inner) inner.parent = node;
    node.parent = up;
  }

  #rebalanceInsert(inserted: N): void {
    let node = inserted;
    for (;;) {
      const parent = node.parent;
      if (!parent?.red) break;
      const grand = parent.parent;
      if (!grand) break;
      const parentIsLeft = grand.left === parent;
      const uncle = parentIsLeft ? grand.right : grand.left;
      if (uncle?.red) {
        parent.red = uncle.red = false;
        grand.red = true;
        node = grand;
        continue;
      }
      let top: N = parent;
      if ((parent.left === node) !== parentIsLeft) {
        this.#rotate(parent, parentIsLeft);
        top = node;
      }
      top.red = false;
      grand.red = true;
      this.#rotate(grand, !parentIsLeft);
      break;
    }
    if (this.root) this.root.red = false;
  }

  #swapWithSuccessor(node: N): void {
    let next = node.right;
    while (next?.left) next = next.left;
    if (!next) return;
    const { left, right, red } = node;
    const nextRight = next.right;
    const nextParent = next.parent;
    const colour = next.red;
    this.#replace(node, next);
    next.left = left;
    if (left) left.parent = next;
    if (nextParent === node) {
      next.right = node;
      node.parent = next;
    } else {
      next.right = right;
      if (right) right.parent = next;
      node.parent = nextParent;
      if (nextParent) nextParent.left = node;
    }
    node.left = null;
    node.right = nextRight;
    if (nextRight) nextRight.parent = node;
    next.red = red;
    node.red = colour;
  }

  /** A black node went: its side lacks one black until a red one is found to repaint. */
  #rebalanceErase(start: N | null, startParent: N | null, startLeft: boolean): void {
    let node = start;
    let parent = startParent;
    let left = startLeft;
    while (parent && !node?.red) {
      let sibling: N | null = left ? parent.right : parent.left;
      if (sibling?.red) {
        sibling.red = false;
        parent.red = true;
        this.#rotate(parent, left);
        sibling = left ? parent.right : parent.left;
      }
      if (!sibling) return;
      const near: N | null = left ? sibling.left : sibling.right;
      let far: N | null = left ? sibling.right : sibling.left;
      if (near?.red || far?.red) {
        if (!far?.red && near) {
          near.red = false;
          sibling.red = true;
          this.#rotate(sibling, !left);
          far = sibling;
          sibling = near;
        }
        sibling.red = parent.red;
        parent.red = false;
        if (far) far.red = false;
        this.#rotate(parent, left);
        return;
      }
      sibling.red = true;
      node = parent;
      parent = node.parent;
      left = parent !== null && parent.left === node;
    }
    if (node) node.red = false;
  }
}
