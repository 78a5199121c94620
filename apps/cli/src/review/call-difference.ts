/** In which calls a patch differs from its base, on one scenario: a unified diff of function graphs. */
import { DEFAULT_MACHINE, functionGraph, ModelMachine, parseScenario } from '@pinfold/guest';
import { CallRecorder } from '@pinfold/guest';
import type { KernelVersion } from '@pinfold/kernels';
import { runWhilePossible } from '@pinfold/scenario';
import type { PinAlgorithm } from '@pinfold/vfio-type1';
import { structuredPatch } from 'diff';

/** A huge page and a half, 4 KiB pages, and both given back. */
export const TRACED_SCENARIO = `open type=v2
mmap name=A kind=anon size=4M addr=0x4000000000 advise=huge
touch va=A size=4M
mmap name=B kind=anon size=64K addr=0x4001000000 advise=nohuge
touch va=B size=64K
map iova=0x40000000 va=A size=3M
map iova=0x50000000 va=B size=B.len
unmap iova=0x40000000 size=3M
unmap iova=0x50000000 size=B.len
close
`;

/** Lines of the difference that are shown. */
const MAX_LINES = 120;
/** Width of a line in a mail; longer ones go on below. */
const WIDTH = 78;
/** What a line that goes on begins with, behind its own indent. */
const CONTINUED = '    ';

/**
 * The difference of the calls.
 *
 * @param kernel the release
 * @param base the algorithm that the patch is a difference against
 * @param own the patch
 * @returns the lines of a unified diff, none if all calls are the same; in words what makes one
 *   impossible
 */
export async function callDifference(
  kernel: KernelVersion,
  base: PinAlgorithm,
  own: PinAlgorithm,
): Promise<readonly string[]> {
  const before = await callsOf(kernel, base);
  const after = await callsOf(kernel, own);
  const { hunks } = structuredPatch('', '', before.join('\n'), after.join('\n'), '', '', {
    context: 2,
  });
  const lines = hunks.flatMap(({ oldStart, oldLines, newStart, newLines, lines: changed }) => [
    `@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`,
    ...changed.filter((line) => !line.startsWith('\\')).flatMap(wrapped),
  ]);
  if (lines.length <= MAX_LINES) return lines;
  return [...lines.slice(0, MAX_LINES), `@@ ${lines.length - MAX_LINES} lines more @@`];
}

/** The function graphs of all steps, each below its line. */
async function callsOf(
  kernel: KernelVersion,
  pinAlgorithm: PinAlgorithm,
): Promise<readonly string[]> {
  const scenario = parseScenario(TRACED_SCENARIO, 'trace');
  const tracer = new CallRecorder();
  const machine = new ModelMachine({
    ...{ kernel, facts: DEFAULT_MACHINE, buddy: { seed: 1 }, tracer },
    type1: { pinAlgorithm },
  });
  const lines: string[] = [];
  let step = 0;
  await runWhilePossible(scenario, machine, {
    onStep: () => {
      const graph = functionGraph(tracer.take());
      if (graph.length > 0) lines.push(`${scenario.steps[step].text}:`, ...graph);
      step++;
    },
  });
  return lines;
}

/** A line of a diff, on as many lines as it needs; all of them begin with its mark. */
function wrapped(line: string): string[] {
  const [, mark = ' ', indent = '', text = ''] = /^([ +-])( *)(.*)$/.exec(line) ?? [];
  const lines: string[] = [];
  let current = `${mark}${indent}`;
  let isEmpty = true;
  for (const word of text.split(' ')) {
    if (!isEmpty && current.length + 1 + word.length > WIDTH) {
      lines.push(current);
      current = `${mark}${indent}${CONTINUED}`;
      isEmpty = true;
    }
    current += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, current];
}
