/**
 * What the kernel prints during a step, in the shape of the recordings.
 *
 * @source README-extpin, "Fields of a step" (`warn`, `klog`)
 */
import type { KernelMessage } from '@pinfold/mm';
import type { Observation } from '@pinfold/scenario';

/** Messages that are listed. */
const MAX_MESSAGES = 20;

/**
 * The messages of a step.
 *
 * @param messages the messages, in order
 * @returns the fields of the step; none without a message
 */
export function messageFields(
  messages: readonly KernelMessage[],
): Pick<Observation, 'warn' | 'klog' | 'warnedOnce'> {
  if (messages.length === 0) return {};
  const warn = messages.filter(({ kind }) => kind !== 'print').length;
  const once = messages.filter(({ kind }) => kind === 'warn-once').map(messageText);
  const klog = messages.slice(0, MAX_MESSAGES).map(messageText);
  return { ...(warn > 0 && { warn }), klog, ...(once.length > 0 && { warnedOnce: once }) };
}

function messageText({ kind, text }: KernelMessage): string {
  return kind === 'print' ? text : `WARNING: ${text}`;
}
