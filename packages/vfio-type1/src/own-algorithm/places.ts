/**
 * Where in somebody's file something went wrong.
 *
 * @source reference type1.md §5 and §6 (the steps of an algorithm)
 */

/** What is known of the file of an algorithm. */
export interface AlgorithmFile {
  /** Its name, for messages. */
  readonly place: string;
  /** Its address, as stacks of the engine write it; without it no lines are known. */
  readonly url?: string;
  /** Its text; without it the lines of its steps are not known. */
  readonly text?: string;
}

/**
 * The stack of an error, whatever somebody's code has made of how stacks are written.
 *
 * @param error anything that was thrown
 * @returns the stack as V8 writes it; empty if it has none, or cannot be read
 * @source reference type1.md §5 and §6
 */
export function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const own = Object.getOwnPropertyDescriptor(Error, 'prepareStackTrace');
  try {
    // Without it V8 writes the stack itself, when it is asked for.
    Reflect.deleteProperty(Error, 'prepareStackTrace');
    const stack: unknown = error.stack;
    return typeof stack === 'string' ? stack : '';
  } catch {
    return '';
  } finally {
    if (own) Reflect.defineProperty(Error, 'prepareStackTrace', own);
  }
}

/**
 * The innermost place of a stack that lies in the file.
 *
 * @param file the file
 * @param stack a stack as V8 writes it
 * @returns the place, with line and column if the stack has it
 * @source reference type1.md §5 and §6
 */
export function placeInStack({ place, url }: AlgorithmFile, stack: string | undefined): string {
  const from = url === undefined ? -1 : (stack ?? '').indexOf(`${url}:`);
  if (from < 0 || url === undefined || stack === undefined) return place;
  const [at] = /^:\d+(?::\d+)?/.exec(stack.slice(from + url.length)) ?? [''];
  return `${place}${at}`;
}

/**
 * Whether an error comes from inside a call of the kernel: then it is no mistake of the file's.
 *
 * @param file the file
 * @param stack a stack as V8 writes it
 * @returns true if a method of KernelCalls lies above the file's code
 * @source reference type1.md §5 and §6
 */
export function isOfKernel({ url }: AlgorithmFile, stack = ''): boolean {
  const [above] = url === undefined ? [stack] : stack.split(`${url}:`);
  return above.includes(' at KernelCalls.');
}

/**
 * The place of a field of an object in the file's text: the first line that begins like one.
 *
 * @param file the file
 * @param key the field
 * @returns the place, with line and column if the text has it
 * @source reference type1.md §5 and §6
 */
export function placeOfField({ place, text }: AlgorithmFile, key: string): string {
  const name = key.replace(/[^\w$]/g, '\\$&');
  const found = new RegExp(`^([^\\S\\n]*(?:async\\s+)?)['"]?${name}['"]?\\s*[(:<,=]`, 'm').exec(
    text ?? '',
  );
  if (!found) return place;
  const before = (text ?? '').slice(0, found.index + found[1].length).split('\n');
  return `${place}:${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
}
