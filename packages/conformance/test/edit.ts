/** Edits a JSON value at a path such as `runs[0].steps[3].pins.acquired`. */

/** What is put at a path; undefined takes away what is there. */
export type Edit = readonly [path: string, value?: unknown];

/**
 * Makes edits.
 *
 * @param root the value, changed in place
 * @param edits the edits, in order
 */
export function edit(root: object, ...edits: readonly Edit[]): void {
  for (const [path, value] of edits) {
    const keys = path.match(/[^.[\]]+/g) ?? [];
    const last = keys.pop() ?? '';
    const owner = keys.reduce<Record<string, unknown>>(
      (at, key) => at[key] as Record<string, unknown>,
      root as Record<string, unknown>,
    );
    if (value !== undefined) owner[last] = value;
    else if (Array.isArray(owner)) owner.splice(Number(last), 1);
    else Reflect.deleteProperty(owner, last);
  }
}
