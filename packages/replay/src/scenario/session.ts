/** Which of the calls in a log are replayed: those of one container and of the memory that it maps. */
import type { CallBody, LoggedCall } from '../log/entries.ts';
import type { Log } from '../log/read-log.ts';

/** Calls of one container. */
export interface Session {
  /** The calls in order, those of the memory included. */
  readonly calls: readonly LoggedCall[];
  /** Other containers in the log, with the number of their maps and unmaps. */
  readonly others: number;
}

const CONTAINER_OPS: readonly CallBody['op'][] = ['map', 'unmap', 'dirty', 'setiommu'];
const SETUP_OPS: readonly CallBody['op'][] = ['opencontainer', 'addgroup', 'iofd', 'close'];

/**
 * Chooses a container: the one with the most calls, failures counting more.
 *
 * @param log what was read
 * @returns its calls
 */
export function sessionOf(log: Log): Session {
  const weights = new Map<string, number>();
  let calls = 0;
  for (const call of log.calls) {
    if (!CONTAINER_OPS.includes(call.op)) continue;
    const id = call.container ?? '';
    const weight = call.op === 'setiommu' ? 0 : 1 + (call.errno ? 100 : 0);
    weights.set(id, (weights.get(id) ?? 0) + weight);
    calls++;
  }
  // Calls of which the log does not say the container belong to the only one there is.
  const named = [...weights].filter(([id]) => id !== '').sort((a, b) => b[1] - a[1]);
  const chosen = named.at(0)?.[0];
  const isChosen = ({ container = '' }: LoggedCall): boolean =>
    container === '' || container === chosen;
  const space = spaceOf(log, isChosen);
  const kept = log.calls.filter((call) =>
    CONTAINER_OPS.includes(call.op) || SETUP_OPS.includes(call.op)
      ? isChosen(call)
      : space(call.process ?? 0),
  );
  const own = kept.filter((call) => CONTAINER_OPS.includes(call.op)).length;
  return { calls: kept, others: calls - own };
}

/** Whether a process has the memory that the container maps: threads share it, children do not. */
function spaceOf(log: Log, isChosen: (call: LoggedCall) => boolean): (process: number) => boolean {
  const spaces = new Map<number, number>();
  const spaceAt = (process: number): number => spaces.get(process) ?? 0;
  let next = 1;
  let mapping = 0;
  for (const call of log.calls) {
    if (call.op === 'fork') {
      spaces.set(call.child, call.shares ? spaceAt(call.process ?? 0) : next++);
    }
    if (call.op === 'map' && isChosen(call)) mapping = spaceAt(call.process ?? 0);
  }
  return (process) => spaceAt(process) === mapping;
}
