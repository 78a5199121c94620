/**
 * Compares what the kernel printed: which function warned, and the text of other messages. Places in
 * the source, addresses and processes are not compared.
 *
 * A WARN_ON_ONCE speaks once per boot. The recorder's guest runs many scenarios, the model boots anew
 * for each: where the model gives such a warning, the recording may be without it, because an earlier
 * scenario of the guest has had it.
 *
 * @source README-extpin, "Fields of a step" (`warn`, `klog`)
 */
import type { Observation } from '@pinfold/scenario';
import type { Difference } from './differences.ts';
import type { Recording } from '../recording/recording.ts';

/** Messages that a recording lists of a step. */
const MAX_RECORDED = 20;
/** A probe of the program that records messages. */
const PROBE = 'extpin_dma_unmap';

/**
 * Whether the steps of a recording show messages: those of older programs do not.
 *
 * @param recording the recording
 * @returns true if they do
 */
export function recordsMessages({ guest }: Pick<Recording, 'guest'>): boolean {
  return Object.hasOwn(guest.probes, PROBE);
}

/**
 * Compares the messages of a step.
 *
 * @param kernel what the kernel printed
 * @param model what the model printed
 * @returns what differs
 */
export function compareMessages(kernel: Observation, model: Observation): Difference[] {
  const [klog = [], printed = []] = [kernel.klog, model.klog];
  const recorded = klog.flatMap(essence);
  const once = [...(model.warnedOnce ?? [])];
  const [warned, expected] = [kernel.warn ?? 0, model.warn ?? 0];
  const differences: Difference[] = [];
  if (warned > expected || warned < expected - once.length) {
    differences.push({ path: 'warn', recorded: kernel.warn, model: model.warn });
  }
  const cut = klog.length >= MAX_RECORDED;
  let at = 0;
  for (const message of printed) {
    if (cut && at === recorded.length) break;
    if (recorded[at] === message) at++;
    else if (once.includes(message)) once.splice(once.indexOf(message), 1);
    else return [...differences, { path: 'klog', recorded: recorded[at], model: message }];
  }
  if (at < recorded.length) {
    differences.push({ path: 'klog', recorded: recorded[at], model: undefined });
  }
  return differences;
}

/** What of a line is compared; nothing of a line that only says where a warning was. */
function essence(line: string): string[] {
  if (line.startsWith('RIP:')) return [];
  if (!line.startsWith('WARNING:')) return [line.replace(/Task \S+ \(\d+\) /, '')];
  const [, fn = ''] = /(\w+)\+0x/.exec(line) ?? [];
  return [`WARNING: ${fn}`];
}
