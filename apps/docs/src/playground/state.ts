/** What the playground shows, and how an address says it. */
import { kernelVersion, kernelVersions } from '@pinfold/kernels';
import { pinAlgorithm } from '@pinfold/vfio-type1';
import { packText, unpackText } from '../browser/hash-state.ts';

/** A recording: its name and its kernel. */
export interface ChosenRecording {
  readonly kernel: string;
  /** Folder and file: `main/e03-bad-vaddr.json.gz`. */
  readonly name: string;
}

/** What the user has chosen. */
export interface PlaygroundState {
  /** The scenario; of a recording, empty until it is loaded. */
  readonly script: string;
  readonly recording: ChosenRecording | null;
  /** Release series of the model. */
  readonly kernel: string;
  /** Pin algorithm; null: the release's own. */
  readonly algorithm: string | null;
}

const EXAMPLE = `title a huge page, mapped, unmapped, and mapped again against a limit
open type=v2
mmap name=A kind=anon size=2M addr=0x4000000000 advise=huge
touch va=A size=A.len
map iova=0x40000000 va=A size=A.len
unmap iova=0x40000000 size=A.len
# From here on RLIMIT_MEMLOCK counts: 256 pages of 4 KiB.
dropcap
memlock bytes=1M
map iova=0x40000000 va=A size=A.len
`;

/** What a first visitor sees. */
export const INITIAL: PlaygroundState = {
  script: EXAMPLE,
  recording: null,
  kernel: kernelVersions.at(-1)?.series ?? '',
  algorithm: null,
};

/**
 * The parameters of an address that says what is shown.
 *
 * @param state what is shown
 * @returns the parameters; the scenario is compressed
 */
export async function writeState(state: PlaygroundState): Promise<URLSearchParams> {
  const { script, recording, kernel, algorithm } = state;
  const parameters = new URLSearchParams({ kernel });
  if (algorithm !== null) parameters.set('algorithm', algorithm);
  if (recording) {
    parameters.set('recorded', recording.kernel);
    parameters.set('recording', recording.name);
  } else if (script !== INITIAL.script) parameters.set('scenario', await packText(script));
  return parameters;
}

/**
 * Undoes `writeState`.
 *
 * @param parameters of the address; what is missing is as for a first visitor
 * @returns what to show
 * @throws {Error} when the scenario is damaged
 * @throws {InputError} when a kernel or an algorithm is not known
 */
export async function readState(parameters: URLSearchParams): Promise<PlaygroundState> {
  const kernel = kernelVersion(parameters.get('kernel') ?? INITIAL.kernel).series;
  const algorithm = parameters.get('algorithm');
  const packed = parameters.get('scenario');
  const name = parameters.get('recording');
  const recorded = parameters.get('recorded');
  return {
    kernel,
    algorithm: algorithm === null ? null : pinAlgorithm(algorithm).name,
    recording: name !== null && recorded !== null ? { kernel: recorded, name } : null,
    script: packed === null ? INITIAL.script : await unpackText(packed),
  };
}
