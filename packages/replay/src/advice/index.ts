/** What to do about what a log shows. */
import { hex } from '@pinfold/scenario';
import type { LoggedCall, LoggedMessage } from '../log/entries.ts';
import type { Log } from '../log/read-log.ts';
import type { ReplayFinding } from '../replay.ts';
import type { AdviceContext } from './context.ts';
import { onCalls } from './on-calls.ts';
import { onMessages } from './on-messages.ts';

/**
 * What to do about a call.
 *
 * @param context the call
 * @returns sentences; none where there is nothing to do
 */
export function adviceFor(context: AdviceContext): string[] {
  return onCalls.flatMap((advice) => advice(context));
}

/** What the calls that were replayed tell better. */
const TOLD_BY_CALLS = ['map', 'iommufd-map', 'unmap', 'p2p', 'region'];

/**
 * What to say of the messages of a log: each kind once.
 *
 * @param log what was read
 * @param calls the calls that were replayed
 * @returns the answers
 */
export function adviceOnMessages(log: Log, calls: readonly LoggedCall[]): ReplayFinding[] {
  const hasMaps = calls.some(({ op }) => op === 'map');
  const hasUnmaps = calls.some(({ op }) => op === 'unmap');
  const answers = new Map<string, ReplayFinding>();
  const add = (key: string, finding: ReplayFinding): void => {
    if (!answers.has(key)) answers.set(key, finding);
  };
  for (const message of log.messages) {
    if (message.about === 'dma-fault') {
      add(`fault ${message.values?.address ?? ''}`, faultAnswer(message, calls));
      continue;
    }
    if (hasMaps && TOLD_BY_CALLS.includes(message.about)) continue;
    if (hasUnmaps && message.about === 'unmap-size') continue;
    const entry = onMessages.find(
      ({ about, errno, when }) =>
        about === message.about &&
        (errno === undefined || errno === message.errno) &&
        (when === undefined || when(message, log)),
    );
    if (!entry) continue;
    add(`${entry.about} ${entry.errno ?? ''}`, {
      ...{ at: message.at, text: message.text, errno: message.errno ?? null, releases: {} },
      ...{ kind: entry.about, isMessage: true, why: entry.why, action: entry.action },
    });
  }
  return [...answers.values()].slice(0, MAX_ANSWERS);
}

const MAX_ANSWERS = 20;

/** An address that a device used and the IOMMU refused: which mapping was there, or never was. */
function faultAnswer(message: LoggedMessage, calls: readonly LoggedCall[]): ReplayFinding {
  const { device = 'a device', address = '0x0', reason = '' } = message.values ?? {};
  const iova = BigInt(address);
  const covers = (call: LoggedCall): boolean =>
    (call.op === 'map' || call.op === 'unmap') && call.iova <= iova && iova < call.iova + call.size;
  const last = calls.findLast((call) => covers(call) && !call.errno);
  const why = [
    `The device ${device} used the iova ${hex(iova)}, which the IOMMU refused${reason === '' ? '' : ` (${reason})`}.`,
  ];
  if (!last) {
    why.push(
      calls.length === 0
        ? 'The log has no maps to look it up in.'
        : 'No map of the log has ever covered it.',
    );
  } else if (last.op === 'unmap') {
    why.push(`Line ${last.at.line} unmapped it: the device was still using it.`);
  } else {
    why.push(
      `Line ${last.at.line} maps it: its access, or an unmap that the log does not show, is the reason.`,
    );
  }
  const action =
    last?.op === 'unmap'
      ? ['Stop the device, or wait for its DMA to end, before the unmap.']
      : [
          'Look for what gave the device this address: an address of the host in place of an iova, or memory that was not registered.',
        ];
  const kind = message.about;
  const { at, text } = message;
  return { at, text, errno: null, kind, isMessage: true, why, action, releases: {} };
}
