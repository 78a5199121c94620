/** An excerpt of what a command prints: from a line to another, with what a reader has to find in it. */

/** Which lines of an output are shown. */
export interface Cut {
  /**
   * What the lines shown have to contain, at least one: words, wherever the lines break between
   * them, or a pattern, such as that of a table's row.
   */
  readonly has: readonly (string | RegExp)[];
  /** The first line that is shown; default: the first of all. */
  readonly from?: RegExp | undefined;
  /** The first line after it that is not shown any more; default: none. */
  readonly to?: RegExp | undefined;
}

/**
 * Cuts an excerpt out of a text.
 *
 * @param text the text, of any number of lines
 * @param cut where it begins and ends, and what must be in it
 * @returns the excerpt, without empty lines at its end
 * @throws {Error} when it begins or ends nowhere, or lacks something that it has to contain; the
 *   message shows the lines there are
 */
export function excerpt(text: string, { has, from, to }: Cut): string {
  const lines = text.trimEnd().split('\n');
  const first = from ? lines.findIndex((line) => from.test(line)) : 0;
  if (from && first === -1) throw fault(`no line to begin with matches ${String(from)}`, lines);
  const after = to ? lines.findIndex((line, i) => i > first && to.test(line)) : lines.length;
  if (to && after === -1) {
    throw fault(`no line to end before matches ${String(to)}`, lines.slice(first));
  }
  const shown = lines.slice(first, after).join('\n').trimEnd();
  if (has.length === 0) throw new Error('an excerpt has to name what must be in it');
  const missing = has.filter((wanted) => !contains(shown, wanted));
  if (missing.length === 0) return shown;
  throw fault(`missing: ${missing.map(nameOf).join(', ')}`, shown.split('\n'));
}

function contains(text: string, wanted: string | RegExp): boolean {
  if (typeof wanted !== 'string') return wanted.test(text);
  return text.replace(/\s+/g, ' ').includes(wanted);
}

function nameOf(wanted: string | RegExp): string {
  return typeof wanted === 'string' ? `'${wanted}'` : String(wanted);
}

function fault(what: string, lines: readonly string[]): Error {
  return new Error(`${what}, in\n${lines.map((line) => `  | ${line}`).join('\n')}`);
}
