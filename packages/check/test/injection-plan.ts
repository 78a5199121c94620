/** Fault injection into the scenarios of this repository: what is run on which machine. */
import { readdirSync, readFileSync } from 'node:fs';
import { factsOfRecording } from '@pinfold/conformance';
import { ModelMachine } from '@pinfold/guest';
import { kernelVersion, kernelVersions } from '@pinfold/kernels';
import { manifest, read } from './recordings.ts';
import { InjectionRun, type InjectionResult } from './injection-run.ts';

/** Steps that have memory faulted in before it is mapped. */
const TOUCHES = /^(touch|mlock)\b/;

/** Scenarios without a recording. */
const SCENARIOS = new URL('../../guest/scenarios/', import.meta.url);

/**
 * The recordings and scenarios that faults are injected into.
 *
 * @param pattern what their file names must match
 * @returns the files: recordings as the manifest names them, scenarios below `scenarios/`
 */
export function injectionFiles(pattern: RegExp): string[] {
  const scenarios = readdirSync(SCENARIOS, { recursive: true, encoding: 'utf8' });
  const files = [
    ...manifest.recordings.map(({ file }) => file),
    ...scenarios.filter((file) => file.endsWith('.scn')).sort(),
  ];
  return files.filter((file) => pattern.test(file));
}

/** A scenario, and the machine for it. */
interface Subject {
  readonly lines: readonly string[];
  readonly machine: () => ModelMachine;
  readonly name: string;
}

/** The scenario of a recording on its machine; one without a recording on every release. */
async function subjectsOf(file: string): Promise<Subject[]> {
  if (file.endsWith('.scn')) {
    const lines = readFileSync(new URL(file, SCENARIOS), 'utf8').split('\n');
    return kernelVersions.map((kernel) => {
      return {
        lines,
        machine: () => new ModelMachine({ kernel }),
        name: `${file}, ${kernel.series}`,
      };
    });
  }
  const recording = await read(file);
  const kernel = kernelVersion(recording.kernel);
  const facts = factsOfRecording(recording, file);
  return [
    { lines: recording.script, machine: () => new ModelMachine({ kernel, facts }), name: file },
  ];
}

/** A scenario without the steps that touch memory, so that GUP has to fault it in. */
function untouched(lines: readonly string[]): readonly string[] {
  return lines
    .filter((line) => !TOUCHES.test(line))
    .map((line) =>
      line
        .replace(/,?\bpopulate\b/, '')
        .replace(/ flags=(,|(?= |$))/, (all) => (all.endsWith(',') ? ' flags=' : '')),
    );
}

/**
 * Injects faults into a scenario twice: as it is, and without the steps that touch memory. Not into
 * one that breaks a rule by itself, as those do whose drivers keep pages: the rest says nothing.
 *
 * @param file a recording of the manifest, or a scenario
 * @param oneByOne calls of a step that fail in turn one by one; of those behind only some do
 * @returns tries by kind of fault and op, and findings
 */
export async function injectInto(file: string, oneByOne: number): Promise<InjectionResult> {
  const tries = new Map<string, number>();
  const findings: string[] = [];
  for (const { lines, machine, name } of await subjectsOf(file)) {
    for (const [script, title] of [
      [lines, name],
      [untouched(lines), `${name}, untouched`],
    ] as const) {
      const plain = await new InjectionRun(machine()).run(script, title, () => []);
      if (plain.findings.length > 0) continue;
      const result = await new InjectionRun(machine(), oneByOne).run(script, title);
      for (const [what, n] of result.tries) tries.set(what, (tries.get(what) ?? 0) + n);
      findings.push(...result.findings);
    }
  }
  return { tries, findings };
}
