/** Values of a difference as text. */

/**
 * A value as a table or a message shows it.
 *
 * @param value a JSON value, or undefined
 * @returns words as they are, `nothing` for undefined, anything else as JSON
 */
export function showValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
