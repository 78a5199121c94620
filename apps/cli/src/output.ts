/** Standard output, which is the result: what code of a user's file writes there goes elsewhere. */

/** As it is before any code of a user's file can replace it. */
const write = process.stdout.write.bind(process.stdout);

/**
 * Prints a part of the result.
 *
 * @param text the text
 */
export function print(text: string): void {
  write(text);
}
