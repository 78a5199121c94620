/** Making a sequence smaller, as long as it shows the same. */
import { guestOps, smallerThan, type Operation, type OperationCost } from '@pinfold/guest';
import type { CheckSequence } from './sequence.ts';

const PAGE = 4096n;
/** Sequences that are tried at most. */
const MAX_TRIES = 4000;

/** A mapping's place, which the unmap of it has to meet. */
interface Place {
  readonly iova: bigint;
  readonly va: bigint;
  readonly size: bigint;
}

/**
 * Leaves operations out and makes numbers smaller.
 *
 * @param sequence the sequence
 * @param shows whether a sequence shows what it has to
 * @returns the smallest sequence that was tried and shows it
 */
export function shrinkSequence(
  sequence: CheckSequence,
  shows: (candidate: CheckSequence) => boolean,
): CheckSequence {
  let tries = 0;
  const better = (candidate: CheckSequence): boolean => ++tries <= MAX_TRIES && shows(candidate);
  let best = sequence;
  for (let again = true; again && tries < MAX_TRIES;) {
    const smaller = fewerOperations(best, better);
    const simpler = simplerOperations(smaller, better);
    again = simpler !== best;
    best = simpler;
  }
  // The machine of the recordings takes its time to make.
  const plain = { ...best, machine: {} };
  return shows(plain) ? plain : best;
}

type Shows = (candidate: CheckSequence) => boolean;

function fewerOperations(sequence: CheckSequence, shows: Shows): CheckSequence {
  let best = sequence;
  for (let size = best.operations.length >> 1; size > 0; size >>= 1) {
    for (let at = best.operations.length - size; at >= 0; at--) {
      const operations = [...best.operations.slice(0, at), ...best.operations.slice(at + size)];
      if (shows({ ...best, operations })) best = { ...best, operations };
      at = Math.min(at, best.operations.length - size + 1);
    }
  }
  return best;
}

/** Makes the machine and each operation in turn as simple as can be, until nothing helps. */
function simplerOperations(sequence: CheckSequence, shows: Shows): CheckSequence {
  let best = sequence;
  for (let before: CheckSequence | null = null; before !== best;) {
    before = best;
    best = simplest(best, simplerMachines, shows);
    for (let at = 0; at < best.operations.length; at++) {
      best = simplest(best, (one) => simplerForms(one, at), shows);
    }
  }
  return best;
}

/** Takes the first simpler form that still shows it, until there is none. */
function simplest(
  sequence: CheckSequence,
  formsOf: (sequence: CheckSequence) => readonly CheckSequence[],
  shows: Shows,
): CheckSequence {
  let best = sequence;
  for (;;) {
    const cost = costOf(best);
    const next = formsOf(best).find((form) => costOf(form) < cost && shows(form));
    if (!next) return best;
    best = next;
  }
}

/** Forms of a sequence in which one operation asks for less. */
function simplerForms(sequence: CheckSequence, at: number): CheckSequence[] {
  const { machine, operations } = sequence;
  const operation = operations[at];
  const moved =
    operation.op === 'map'
      ? simplerPlaces(operation).map((place) => replaced(sequence, operation, place))
      : [];
  return [
    ...moved,
    ...(guestOps.get(operation.op)?.smaller?.(operation) ?? []).map((one) => ({
      machine,
      operations: operations.with(at, one),
    })),
  ];
}

function simplerMachines({ machine, operations }: CheckSequence): CheckSequence[] {
  const keys = Object.keys(machine).filter((key) => key !== 'memory');
  return keys.map((key) => {
    const others = Object.entries(machine).filter(([name]) => name !== key);
    return { machine: Object.fromEntries(others), operations };
  });
}

/** A map with what unmaps and reads exactly it. */
function replaced({ machine, operations }: CheckSequence, old: Place, place: Place): CheckSequence {
  const moved = operations.map((operation): Operation => {
    if (operation.op === 'map' && operation.iova === old.iova && operation.size === old.size) {
      return operation.va === old.va ? { ...operation, ...place } : operation;
    }
    if (operation.op === 'unmap' && operation.iova === old.iova && operation.size === old.size) {
      return { ...operation, iova: place.iova, size: place.size };
    }
    if (operation.op !== 'pin' && operation.op !== 'unpin') return operation;
    const inside = operation.iova >= old.iova && operation.iova < old.iova + old.size;
    if (!inside) return operation;
    const at = operation.iova - old.iova;
    return { ...operation, iova: place.iova + (at < place.size ? at : at % PAGE) };
  });
  return { machine, operations: moved };
}

/** The beginning, the end, or simpler addresses. */
function simplerPlaces({ iova, va, size }: Place): Place[] {
  const cuts = smallerThan(Number(size / PAGE)).flatMap((npage) => {
    const length = BigInt(npage) * PAGE;
    const cut = size - length;
    return [
      { iova, va, size: length },
      { iova: iova + cut, va: va + cut, size: length },
      { iova, va: va + cut, size: length },
    ];
  });
  const moves = [0n, 0x100000n, 0x40000000n, iova - (iova % (PAGE * 512n))]
    .filter((simple) => simple !== iova)
    .map((simple) => ({ iova: simple, va, size }));
  return [...cuts, ...moves];
}

/** What is to become small: mapped pages first, then memory, then all other numbers. */
function costOf({ machine, operations }: CheckSequence): number {
  let sum = Object.keys(machine).length + operations.length;
  for (const operation of operations) {
    const cost = guestOps.get(operation.op)?.cost?.(operation) ?? costOfSize(operation);
    const { mapped = 0, memory = 0, other = 0 } = cost;
    sum += mapped * 2 ** 30 + memory * 2 ** 12 + other;
  }
  return sum;
}

function costOfSize(operation: Operation): OperationCost {
  return 'size' in operation ? { other: Math.min(1000, Number(operation.size / PAGE)) } : {};
}
