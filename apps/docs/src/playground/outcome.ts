/** What the playground asks its worker for, and what it gets back. */
import type { Verdict } from '@pinfold/conformance';
import type { Explanation } from '@pinfold/guest';
import type { IommuTable, Observation } from '@pinfold/scenario';

/** What stands for the file of a user's scenario in messages. */
export const FILE = 'scenario';

/** A scenario of the user's. */
export interface ScenarioRequest {
  readonly kind: 'scenario';
  readonly script: string;
  /** Release series. */
  readonly kernel: string;
  /** Name of the pin algorithm; null: the release's own. */
  readonly algorithm: string | null;
}

/** A recording, on the release that it was recorded on or on another. */
export interface RecordingRequest {
  readonly kind: 'recording';
  /** Recorded kernel: `6.18.15`. */
  readonly recorded: string;
  /** Folder and file: `main/e03-bad-vaddr.json.gz`. */
  readonly name: string;
  /** Release series of the model. */
  readonly kernel: string;
}

/** What the worker can be asked for. */
export type PlaygroundRequest = ScenarioRequest | RecordingRequest;

/** What a machine showed of a step, and its IOMMU page table after it. */
export interface Shown {
  readonly observation: Observation;
  /** Undefined without a type1 container. */
  readonly table: IommuTable | undefined;
}

/** How a level of comparison came out. */
export interface LevelOutcome {
  readonly level: string;
  readonly verdict: Verdict;
  /** Why it was skipped, or what differs: `path: kernel, model`. */
  readonly details: readonly string[];
}

/** One step. */
export interface StepOutcome {
  /** Number of its line in the script; 0 for the end of the process. */
  readonly line: number;
  readonly text: string;
  /** Null if the model did not come to this step, or it shows nothing. */
  readonly model: Shown | null;
  /** What the real kernel showed; null in a scenario of the user's. */
  readonly recorded: Shown | null;
  /** The calls of the model: a function graph, or in a recording the lines of its trace. */
  readonly calls: readonly string[];
  /** Entries and returns of functions in the step. */
  readonly events: number;
  /** Why it failed, or what is remarkable. */
  readonly explanation: Explanation | null;
  /** The comparison with the recording, level by level. */
  readonly levels: readonly LevelOutcome[];
}

/** A run. */
export interface RunOutcome {
  readonly script: string;
  readonly title: string;
  readonly steps: readonly StepOutcome[];
  /** Pins that are left when the process has ended, in pages; null if the model did not come there. */
  readonly pinsLeft: number | null;
  /** What went wrong in the kernel, or what an audit says, in sentences. */
  readonly findings: readonly string[];
}
