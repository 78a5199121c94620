/** The report of a profile in instructions. */
import type { Style } from '../style.ts';
import { formatCount, type Column } from '../table.ts';
import { percentText } from './calibration-report.ts';
import type { InstructionProfile, PredictedInstructions } from './instructions.ts';

const KEYS: readonly Column<PredictedInstructions>[] = [
  {
    ...{ heading: 'scenario', words: true },
    cell: ({ row }) => `${row.scenario} ${row.op}`,
  },
];

const COLUMNS: readonly Column<PredictedInstructions>[] = [
  { heading: 'pages', cell: ({ row }) => formatCount(row.bytes / 4096) },
  { heading: 'counted', cell: ({ row }) => formatCount(row.instructions) },
  { heading: 'predicted', cell: ({ predicted }) => formatCount(Math.round(predicted.seconds)) },
  {
    ...{ heading: '90 % interval', words: true },
    cell: ({ predicted: { low, high } }) =>
      `${formatCount(Math.round(low))} to ${formatCount(Math.round(high))}`,
  },
  {
    heading: 'error',
    cell: ({ row, predicted }) => percentText(predicted.seconds / row.instructions - 1, true),
  },
  { heading: 'use', words: true, cell: useOf },
];

function useOf({ fitted, unknownLayout, row }: PredictedInstructions): string {
  const use = fitted ? 'fitted' : 'held out';
  if (!unknownLayout) return use;
  return row.op === 'map' ? `${use}; layout taken from it` : `${use}; layout from its map`;
}

/**
 * A profile in instructions for people.
 *
 * @param profile the profile
 * @param style how to write it
 * @returns lines, ending in a line break
 */
export function instructionText({ name, rows }: InstructionProfile, style: Style): string {
  const about =
    'Executed instructions of recorded runs in QEMU, not time. The recordings have no layout: how ' +
    'small folios lie is one unknown per scenario, taken from its map.';
  const heading = style.heading(`Profile ${name}`);
  return [heading, style.paragraph(about), style.tables(KEYS, [COLUMNS], rows)].join('\n');
}
