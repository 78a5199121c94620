/**
 * Spans of pages in the order of their first page, in a tree of which every version stays as it was:
 * a change copies the path to what it changes and shares the rest, so that whoever holds an earlier
 * version can read it at any time, and the next version costs a logarithm.
 *
 * After Seidel and Aragon, "Randomized search trees" (treaps). A priority is a hash of the first page and
 * of how many spans were added before: many spans may begin at one page, and the tree of equal priorities
 * would be a list.
 */

/** Pages that follow each other. */
export interface Span {
  /** First page. */
  readonly at: number;
  /** Length in pages, at least 1. */
  readonly npage: number;
}

/** An ordered set of spans, which may overlap; it never changes. */
export class SpanTree<S extends Span> {
  readonly #root: Node<S> | null;
  /** Spans that were ever added to this tree and to those that it was made from. */
  readonly #added: number;

  private constructor(root: Node<S> | null, added: number) {
    this.#root = root;
    this.#added = added;
  }

  /**
   * A tree without spans.
   *
   * @returns the tree
   */
  static empty<S extends Span>(): SpanTree<S> {
    return new SpanTree<S>(null, 0);
  }

  /** Number of spans. */
  get size(): number {
    return this.#root?.size ?? 0;
  }

  /**
   * Adds a span, after those with the same first page.
   *
   * @param span the span
   * @returns the tree with it
   */
  with(span: S): SpanTree<S> {
    const [before, after] = split(this.#root, span.at + 1);
    const leaf = leafOf(span, this.#added);
    return new SpanTree(merge(merge(before, leaf), after), this.#added + 1);
  }

  /**
   * Takes a span out.
   *
   * @param span the span itself, not one like it
   * @returns the tree without it; this tree if it is not in there
   */
  without(span: S): SpanTree<S> {
    const root = removed(this.#root, span);
    return root === this.#root ? this : new SpanTree(root, this.#added);
  }

  /**
   * Replaces the spans that begin in a range.
   *
   * @param from first page of the range
   * @param to first page after it
   * @param spans what comes in their place, in order; all begin in the range
   * @returns the tree with them
   */
  withRange(from: number, to: number, spans: readonly S[]): SpanTree<S> {
    const [before, rest] = split(this.#root, from);
    const [, after] = split(rest, to);
    let root = before;
    let added = this.#added;
    for (const span of spans) root = merge(root, leafOf(span, added++));
    return new SpanTree(merge(root, after), added);
  }

  /**
   * The last span that begins before a page.
   *
   * @param page the page
   * @returns the span; undefined without one
   */
  before(page: number): S | undefined {
    let found: S | undefined;
    for (let node = this.#root; node;) {
      if (node.span.at < page) {
        found = node.span;
        node = node.right;
      } else node = node.left;
    }
    return found;
  }

  /**
   * The first span that begins at a page or after it.
   *
   * @param page the page
   * @returns the span; undefined without one
   */
  from(page: number): S | undefined {
    let found: S | undefined;
    for (let node = this.#root; node;) {
      if (node.span.at >= page) {
        found = node.span;
        node = node.left;
      } else node = node.right;
    }
    return found;
  }

  /**
   * The spans that have a page in a range, in order; the work is that of finding them.
   *
   * @param from first page of the range
   * @param to first page after it
   * @returns the spans, one by one
   */
  *overlapping(from: number, to: number): Generator<S, void> {
    if (to <= from) return;
    const above: Node<S>[] = [];
    for (let node = this.#root; node !== null || above.length > 0;) {
      // Nothing below a node whose spans all end before the range.
      while (node !== null && node.end > from) {
        above.push(node);
        node = node.left;
      }
      const next = above.pop();
      if (!next || next.span.at >= to) return;
      if (next.span.at + next.span.npage > from) yield next.span;
      node = next.right;
    }
  }

  /**
   * All spans in order.
   *
   * @returns the spans, one by one
   */
  *[Symbol.iterator](): Generator<S, void> {
    const above: Node<S>[] = [];
    for (let node = this.#root; node !== null || above.length > 0;) {
      for (; node !== null; node = node.left) above.push(node);
      const next = above.pop();
      if (!next) return;
      yield next.span;
      node = next.right;
    }
  }
}

class Node<S extends Span> {
  readonly span: S;
  readonly rank: number;
  readonly left: Node<S> | null;
  readonly right: Node<S> | null;
  /** Spans at and below this node. */
  readonly size: number;
  /** The page after the last one of all of them. */
  readonly end: number;

  constructor(span: S, rank: number, left: Node<S> | null, right: Node<S> | null) {
    this.span = span;
    this.rank = rank;
    this.left = left;
    this.right = right;
    let [size, end] = [1, span.at + span.npage];
    if (left) {
      size += left.size;
      if (left.end > end) end = left.end;
    }
    if (right) {
      size += right.size;
      if (right.end > end) end = right.end;
    }
    this.size = size;
    this.end = end;
  }

  withChildren(left: Node<S> | null, right: Node<S> | null): Node<S> {
    return new Node(this.span, this.rank, left, right);
  }
}

function leafOf<S extends Span>(span: S, added: number): Node<S> {
  return new Node(span, rankOf(span.at, added), null, null);
}

/** A hash of a page number and a count: the finalizer of MurmurHash3. */
function rankOf(page: number, added: number): number {
  let hash = (page | 0) ^ ((page / 2 ** 32) | 0) ^ Math.imul(added, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

type Tree<S extends Span> = Node<S> | null;

/** The spans that begin before a page, and the others. */
function split<S extends Span>(node: Tree<S>, page: number): [Tree<S>, Tree<S>] {
  if (!node) return [null, null];
  if (node.span.at < page) {
    const [inner, after] = split(node.right, page);
    return [inner === node.right ? node : node.withChildren(node.left, inner), after];
  }
  const [before, inner] = split(node.left, page);
  return [before, inner === node.left ? node : node.withChildren(inner, node.right)];
}

/** Two trees in one; all of the first come before all of the second. */
function merge<S extends Span>(before: Tree<S>, after: Tree<S>): Tree<S> {
  if (!before) return after;
  if (!after) return before;
  return before.rank >= after.rank
    ? before.withChildren(before.left, merge(before.right, after))
    : after.withChildren(merge(before, after.left), after.right);
}

function removed<S extends Span>(node: Tree<S>, span: S): Tree<S> {
  if (!node) return null;
  if (node.span === span) return merge(node.left, node.right);
  // Spans with the same first page can be on either side.
  if (span.at <= node.span.at) {
    const left = removed(node.left, span);
    if (left !== node.left) return node.withChildren(left, node.right);
  }
  if (span.at >= node.span.at) {
    const right = removed(node.right, span);
    if (right !== node.right) return node.withChildren(node.left, right);
  }
  return node;
}
