/**
 * Level trace: the calls of the step in their order, with their arguments and what they returned.
 *
 * The lines are compared as the recording folds them. Once one differs, those after it say nothing:
 * only the first is reported.
 *
 * @source recordings README, "Trace"
 */
import { MORE_LINES } from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import { diff, type Difference } from './differences.ts';
import type { Recording } from '../recording/recording.ts';
import type { ComparedStep, Exclusion, Level } from './level.ts';
import { notCompared, reasonAgainst, withoutOwnMemory } from './probes.ts';

/**
 * Functions that return an int in some releases: the probes show the whole register, of which a
 * negative int fills the lower half.
 */
const RETURNS_INT = ['vaddr_get_pfns'];
const INT_RANGE = 2 ** 32;
/** Events that the buffer of the recorder held in any case; of more, the first may be lost. */
const MAX_BUFFERED = 780_000;

/** Whether pages are marked dirty, which older programs do not record, and descriptors. */
const NOT_COMPARED = / (?:dirty|fd)=-?\d+/;

/** Of a charge, whether it is another process's, which the program of 7.2-iofd does not record. */
const ASYNC = / async=\d+/;
const NEVER = /(?!)/;

function recordsAsync({ release }: Recording): boolean {
  return !release.endsWith('-iofd');
}

function compare({ recording, recorded, model }: ComparedStep): Difference[] {
  const { calls = {}, trace = [], trace_total = 0 } = recorded.shown;
  const excluded = Object.keys(calls).filter(
    (name) => recording.guest.probes[name] && reasonAgainst(name, recording) !== undefined,
  );
  const events = excluded.reduce((sum, name) => sum + eventsOf(name, calls[name], recording), 0);
  const comparable = (lines: readonly string[]): string[] =>
    withoutTestFrames(lines, recording).map((line) =>
      withoutLostReturn(withoutSemaphore(asSigned(line)), recording)
        .replace(NOT_COMPARED, '')
        .replace(recordsAsync(recording) ? NEVER : ASYNC, ''),
    );
  const { lines, follows } = withoutOwnMemory(trace);
  const kernel = comparable(lines.filter((line) => !excluded.includes(functionOf(line))));
  const other = comparable(model.shown.trace ?? []);
  return [
    ...(trace_total > MAX_BUFFERED ? [] : firstDifference(kernel, other)),
    ...diff('trace_total', trace_total - events - 2 * follows, model.shown.trace_total ?? 0),
  ];
}

/** Entry and return events of the calls of a function. */
function eventsOf(name: string, calls: number, { guest }: Recording): number {
  return guest.probes[`${name}_ret`] ? 2 * calls : calls;
}

function functionOf(line: string): string {
  return line.split(' ', 1)[0];
}

/** A return whose register holds a negative int, as that number. */
function asSigned(line: string): string {
  const [fn, ret] = line.split('_ret ret=');
  if (!ret || !RETURNS_INT.includes(fn)) return line;
  const value = Number(ret);
  return value >= INT_RANGE / 2 ? `${fn}_ret ret=${value - INT_RANGE}` : line;
}

/**
 * A function whose interface the compiler has changed (`.isra`) returns nothing that is used: the
 * probe shows what is in the register.
 */
function withoutLostReturn(line: string, { guest }: Recording): string {
  const [fn, ret] = line.split('_ret ret=');
  return ret !== undefined && isLost(guest.probes[fn]?.symbol) ? `${fn}_ret` : line;
}

/**
 * A wait of AMD's IOMMU stores a number that counts since boot, at an address of the kernel's own.
 */
function withoutSemaphore(line: string): string {
  return line.replace(IS_WAIT, 'COMPLETION_WAIT');
}

const IS_WAIT = /^__iommu_queue_command_sync w0=\S+ w1=0x1\S{7} .*$/;

function isLost(symbol: string | undefined): boolean {
  return symbol?.includes('.isra.') === true;
}

/**
 * At attach, 6.12 maps two pages of its own to test for superpages: no recording says which. They are
 * mapped at once, before anything is pinned.
 */
function withoutTestFrames(lines: readonly string[], { kernel }: Recording): readonly string[] {
  if (!kernelVersion(kernel).type1.fgspTest) return lines;
  let testing = false;
  return lines.map((line) => {
    testing = line.startsWith('vfio_iommu_type1_attach_group ') || (testing && IS_MAP.test(line));
    return testing ? line.replace(/ paddr=\S+/, '') : line;
  });
}

const IS_MAP = /^(?:iommu_map|intel_iommu_map|intel_iommu_map_pages|iommu_map_ret) /;

/** What a recording leaves out after its last line, the model may list. */
function firstDifference(kernel: readonly string[], model: readonly string[]): Difference[] {
  const cut = kernel.at(-1) === MORE_LINES;
  const length = cut ? kernel.length - 1 : Math.max(kernel.length, model.length);
  for (let i = 0; i < length; i++) {
    if (kernel[i] === model[i]) continue;
    return [{ path: `trace[${i}]`, recorded: kernel[i], model: model[i] }];
  }
  return [];
}

function exclusions(recording: Recording): Exclusion[] {
  const shows64 = 'an int in some releases, of which the probe shows 64 bits';
  const { guest, kernel } = recording;
  const lost = Object.keys(guest.probes).filter(
    (name) => name.endsWith('_ret') && isLost(guest.probes[name]?.symbol),
  );
  return [
    ...notCompared(recording),
    ...lost.map((name) => ({ name, reason: 'the compiler has dropped what nobody uses' })),
    ...(kernelVersion(kernel).type1.fgspTest
      ? [{ name: 'paddr of the superpage test', reason: 'pages of the kernel, not recorded' }]
      : []),
    ...(guest.probes.__iommu_queue_command_sync
      ? [{ name: 'words of COMPLETION_WAIT', reason: 'an address and a number since boot' }]
      : []),
    ...RETURNS_INT.map((name) => ({ name: `upper half of ${name}_ret`, reason: shows64 })),
    { name: `lines of steps with more than ${MAX_BUFFERED} events`, reason: 'the first are lost' },
  ];
}

/** Level trace. */
export const trace: Level = {
  name: 'trace',
  summary: 'the calls in order, with arguments and results',
  needsLayout: true,
  needsTrace: true,
  applies: ({ shown }) => shown.trace !== undefined,
  compare,
  exclusions,
};
