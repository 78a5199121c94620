/** `--diff`: the first step of a recording that failed, what came before it, and both sides of it. */
import type { Difference, FailedRecording, RecordingResult } from '@pinfold/scenario';
import { tableText, type Column } from '../table.ts';
import { showValue } from './show-value.ts';

/** Lines of the scenario that are shown before the step. */
const CONTEXT = 6;
/** Width of a value; longer ones are wrapped. */
const VALUE_WIDTH = 48;

/**
 * The first difference of a recording, with its context.
 *
 * @param failure the recording
 * @param lines the steps of its script
 * @returns a heading, the lines of the scenario, and a table of both sides
 */
export function diffText(
  { file, first }: FailedRecording,
  lines: RecordingResult['lines'],
): string {
  const shown = lines.slice(Math.max(0, first.step - CONTEXT), first.step);
  const at = lines[first.step] ?? { line: '', text: first.line };
  const context = [
    ...shown.map(({ line, text }) => `  ${String(line).padStart(5)}  ${text}\n`),
    `> ${String(at.line).padStart(5)}  ${at.text}\n`,
  ];
  const heading = `${file}: pass ${first.pass}, level ${first.level}\n`;
  return `${heading}\n${context.join('')}\n${indent(tableText(COLUMNS, first.differences))}`;
}

const COLUMNS: readonly Column<Difference>[] = [
  { heading: 'field', words: true, cell: ({ path }) => path },
  side('recorded', ({ recorded }) => recorded),
  side('model', ({ model }) => model),
];

function side(heading: string, value: (difference: Difference) => unknown): Column<Difference> {
  const cell = (difference: Difference): string => wrap(showValue(value(difference)));
  return { heading, words: true, cell };
}

/** Breaks a long value, at whatever character. */
function wrap(text: string): string {
  return text.match(new RegExp(`.{1,${VALUE_WIDTH}}`, 'gu'))?.join('\n') ?? '';
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '         ');
}
