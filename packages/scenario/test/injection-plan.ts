/** Fault injection into the scenarios of this repository: what is run on which machine. */
import { kernelVersion } from '@pinfold/vfio-type1';
import { factsOfRecording, ModelMachine } from '../src/index.ts';
import { manifest, read } from './files.ts';
import { InjectionRun, type InjectionResult } from './injection-run.ts';

/** Steps that have memory faulted in before it is mapped. */
const TOUCHES = /^(touch|mlock)\b/;

/**
 * The recordings whose scenarios faults are injected into.
 *
 * @param pattern what their file names must match
 * @returns the files
 */
export function injectionFiles(pattern: RegExp): string[] {
  return manifest.recordings.map(({ file }) => file).filter((file) => pattern.test(file));
}

/**
 * Injects faults into the scenario of a recording, on its kernel and its machine, twice: as it is,
 * and without the steps that touch memory, so that GUP has to fault it in.
 *
 * @param file the recording
 * @returns tries by kind of fault and op, and findings
 */
export async function injectInto(file: string): Promise<InjectionResult> {
  const recording = await read(file);
  const kernel = kernelVersion(recording.kernel);
  const facts = factsOfRecording(recording, file);
  const untouched = recording.script
    .filter((line) => !TOUCHES.test(line))
    .map((line) =>
      line
        .replace(/,?\bpopulate\b/, '')
        .replace(/ flags=(,|(?= |$))/, (all) => (all.endsWith(',') ? ' flags=' : '')),
    );
  const tries = new Map<string, number>();
  const findings: string[] = [];
  for (const [lines, name] of [
    [recording.script, file],
    [untouched, `${file}, untouched`],
  ] as const) {
    const result = await new InjectionRun(new ModelMachine({ kernel, facts })).run(lines, name);
    for (const [what, n] of result.tries) tries.set(what, (tries.get(what) ?? 0) + n);
    findings.push(...result.findings);
  }
  return { tries, findings };
}
