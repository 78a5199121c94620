/** `--diff`: the first step of a recording that failed, what came before it, and both sides of it. */
import type { Difference, FailedRecording, RecordingResult } from '@pinfold/conformance';
import { tableText, type Column } from '../table.ts';
import { showValue } from './show-value.ts';

/** Lines of the scenario that are shown before the step. */
const CONTEXT = 6;
/** Width of a value at most, and at least; longer ones are wrapped. */
const VALUE_WIDTHS = { most: 48, least: 16 };
/** Indent of the table, and spaces between its columns. */
const INDENT = 9;
const BETWEEN = 2;

/**
 * The first difference of a recording, with its context.
 *
 * @param failure the recording
 * @param lines the steps of its script
 * @param width columns of the terminal
 * @returns a heading, the lines of the scenario, and a table of both sides
 */
export function diffText(
  { file, first }: FailedRecording,
  lines: RecordingResult['lines'],
  width: number,
): string {
  const shown = lines.slice(Math.max(0, first.step - CONTEXT), first.step);
  const at = lines[first.step] ?? { line: '', text: first.line };
  const context = [
    ...shown.map(({ line, text }) => `  ${String(line).padStart(5)}  ${text}\n`),
    `> ${String(at.line).padStart(5)}  ${at.text}\n`,
  ];
  const heading = `${file}: pass ${first.pass}, level ${first.level}\n`;
  return `${heading}\n${context.join('')}\n${differencesText(first.differences, width)}`;
}

function differencesText(differences: readonly Difference[], width: number): string {
  const field = differences.reduce((most, { path }) => Math.max(most, path.length), 'field'.length);
  const room = Math.floor((width - INDENT - field - 2 * BETWEEN) / 2);
  const valueWidth = Math.max(VALUE_WIDTHS.least, Math.min(VALUE_WIDTHS.most, room));
  const side = (heading: 'recorded' | 'model'): Column<Difference> => ({
    heading,
    words: true,
    cell: (difference) => wrap(showValue(difference[heading]), valueWidth),
  });
  const columns: readonly Column<Difference>[] = [
    { heading: 'field', words: true, cell: ({ path }) => path },
    side('recorded'),
    side('model'),
  ];
  return indent(tableText(columns, differences));
}

/** Breaks a long value, at whatever character. */
function wrap(text: string, width: number): string {
  return text.match(new RegExp(`.{1,${width}}`, 'gu'))?.join('\n') ?? '';
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, ' '.repeat(INDENT));
}
