/** Turns the text of a file into a recording, or into one error that says where it is wrong. */
import { InputError } from '@pinfold/base';
import { type GuestScenario, parseScenario } from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import type { z } from 'zod';
import { recordingSchema } from './recording-schema.ts';
import type { RecordedPass, Recording } from './recording.ts';

/**
 * Reads a recording.
 *
 * @param text JSON
 * @param file its file, for messages
 * @returns the recording
 * @throws {InputError} with the file and the place in it, when it is no JSON, no recording, or its
 *   passes are not of its script
 */
export function parseRecording(text: string, file: string): Recording {
  const parsed = recordingSchema.safeParse(parseJson(text, file), { reportInput: true });
  if (!parsed.success) throw asInputError(parsed.error, file);
  const scenario = recordedScenario(parsed.data, file);
  parsed.data.runs.forEach((pass, index) =>
    checkSteps(pass, scenario, `${file}: runs[${index}].steps`),
  );
  return parsed.data;
}

/**
 * The scenario of a recording.
 *
 * @param recording the recording
 * @param file its file, for messages
 * @returns its script, read
 * @throws {InputError} with the file and the line of the script
 */
export function recordedScenario(recording: Recording, file: string): GuestScenario {
  return parseScenario(recording.script, `${file}: script`);
}

/**
 * Checks that the model has the release of a recording.
 *
 * @param recording the recording
 * @param file its file, for the message
 * @throws {InputError} when it has not
 */
export function checkKernel(recording: Recording, file: string): void {
  try {
    kernelVersion(recording.kernel);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(`${file}: kernel`, error.expected, `'${recording.kernel}'`);
  }
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text.replace(WRAPPED_VMLCK, signedVmLck));
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw new InputError(file, 'JSON', text === '' ? 'an empty file' : `something else: ${what}`);
  }
}

/** A VmLck of more than 2^53 kB: locked_vm has gone below zero, and wraps. */
const WRAPPED_VMLCK = /"VmLck":\s*(\d{17,20})\b/g;

/** The same VmLck as a signed number, exact where the unsigned one is not. */
function signedVmLck(_: string, digits: string): string {
  return `"VmLck":${BigInt.asIntN(64, BigInt(digits))}`;
}

/** One step per line of the script, unless the process died. */
function checkSteps({ steps, broken }: RecordedPass, scenario: GuestScenario, place: string): void {
  const expected = scenario.steps;
  steps.forEach((step, index) => {
    const line = expected[index]?.text ?? '(no step)';
    if (step.line.trim().split(/\s+/).join(' ') !== line) {
      throw new InputError(
        `${place}[${index}].line`,
        `'${line}', as in the script`,
        `'${step.line}'`,
      );
    }
    if (step.op !== expected[index]?.op) {
      throw new InputError(
        `${place}[${index}].op`,
        `'${expected[index]?.op ?? ''}'`,
        `'${step.op}'`,
      );
    }
  });
  if (steps.length < expected.length && broken === undefined) {
    throw new InputError(place, `${expected.length} steps, as in the script`, String(steps.length));
  }
}

/** The first fault that the schema found. */
function asInputError({ issues }: z.ZodError, file: string): InputError {
  const [issue] = issues;
  if (!issue) return new InputError(file, 'a recording', 'something else');
  const path = issue.path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`));
  const place = path.length > 0 ? `${file}: ${path.join('').replace(/^\./, '')}` : file;
  const got = issue.code === 'invalid_type' ? typeName(issue.input) : valueName(issue.input);
  return new InputError(place, expectedBy(issue), got);
}

function expectedBy(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected === 'record' ? 'object' : issue.expected;
    case 'invalid_value':
      return issue.values.map((value) => `'${String(value)}'`).join(' or ');
    case 'too_small':
      return `at least ${String(issue.minimum)}${issue.origin === 'array' ? ' elements' : ''}`;
    case 'too_big':
      return `at most ${String(issue.maximum)}${issue.origin === 'array' ? ' elements' : ''}`;
    default:
      return issue.message;
  }
}

/** The type of a value; of a number that is not of the expected kind the number. */
function typeName(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (typeof value === 'number') return String(value);
  return Array.isArray(value) ? 'array' : typeof value;
}

/** A value of the right type. */
function valueName(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  return Array.isArray(value) ? `array of ${value.length}` : typeName(value);
}
