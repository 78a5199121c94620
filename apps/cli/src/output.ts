/**
 * What the command writes to stdout: how wide, in which colours, and without the control characters
 * that a title, a step or a name of the user's may hold.
 */

/** stdout before any code of a user's file can replace it: what that writes goes elsewhere. */
const write = process.stdout.write.bind(process.stdout);

/** Width of text where nobody says how wide the terminal is: in a file, through a pipe. */
const UNKNOWN_WIDTH = 120;
/** Narrower than this, nothing is made narrower. */
const MIN_WIDTH = 60;

/** Marks around a line that stands out; {@link print} makes a colour of them, or nothing. */
const MARKED = ['\u{f0000}', '\u{f0001}'] as const;
const RED = ['\u001b[31m', '\u001b[39m'] as const;

/**
 * The width that text has: that of the terminal, else that of the variable COLUMNS.
 *
 * @returns columns; undefined if neither says
 */
export function terminalColumns(): number | undefined {
  const columns = process.stdout.columns as number | undefined;
  const asked = columns ?? Number(process.env.COLUMNS);
  return Number.isSafeInteger(asked) && asked > 0 ? Math.max(asked, MIN_WIDTH) : undefined;
}

/**
 * The width at which text is laid out.
 *
 * @returns columns, at least 60; 120 if nobody says
 */
export function outputWidth(): number {
  return terminalColumns() ?? UNKNOWN_WIDTH;
}

/**
 * Makes a line stand out, where there are colours.
 *
 * @param line the line, without its line break
 * @returns the line for {@link print}
 */
export function standingOut(line: string): string {
  return `${MARKED[0]}${line}${MARKED[1]}`;
}

/**
 * Writes to stdout: all that the command prints for people and for programs. What would steer a
 * terminal is written as `\u001b`, which JSON reads as the character that it was.
 *
 * @param text lines, each ending in a line break
 */
export function print(text: string): void {
  const [on, off] = hasColours() ? RED : ['', ''];
  write(printable(text).replaceAll(MARKED[0], on).replaceAll(MARKED[1], off));
}

/**
 * Writes to stderr what is said beside a program's own output, as {@link print} does to stdout.
 *
 * @param text lines, each ending in a line break
 */
export function printBeside(text: string): void {
  const [on, off] = hasColours(process.stderr) ? RED : ['', ''];
  process.stderr.write(printable(text).replaceAll(MARKED[0], on).replaceAll(MARKED[1], off));
}

/**
 * A text without characters that steer a terminal: line breaks and tabs are kept.
 *
 * @param text the text
 * @returns the text with such characters written as `\u001b`
 */
function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]|[\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, escaped);
}

/**
 * A text on one line.
 *
 * @param text the text
 * @returns the text with line breaks and characters that steer a terminal written as `\u000a`
 */
export function onOneLine(text: string): string {
  return printable(text).replace(/[\n\t]/g, escaped);
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** https://no-color.org */
function hasColours({ isTTY }: Pick<NodeJS.WriteStream, 'isTTY'> = process.stdout): boolean {
  const { NO_COLOR, TERM } = process.env;
  return isTTY && (NO_COLOR ?? '') === '' && TERM !== 'dumb';
}
