/** Making a sequence smaller, as long as it shows the same. */
import type { MachineLine } from '../machine-line.ts';
import type { MmapOperation, Operation } from '../operation.ts';
import type { FrameExtent } from '../placed-frames.ts';
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
  return best;
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

/** Takes the first simpler form that still shows it, until there is none. */
function simplerOperations(sequence: CheckSequence, shows: Shows): CheckSequence {
  let best = sequence;
  for (let again = true; again;) {
    again = false;
    for (const candidate of simplerForms(best)) {
      if (costOf(candidate) >= costOf(best) || !shows(candidate)) continue;
      best = candidate;
      again = true;
      break;
    }
  }
  return best;
}

function* simplerForms(sequence: CheckSequence): Generator<CheckSequence> {
  const { machine, operations } = sequence;
  for (const line of simplerMachines(machine)) yield { machine: line, operations };
  for (const [at, operation] of operations.entries()) {
    if (operation.op === 'map') {
      for (const place of simplerPlaces(operation)) yield replaced(sequence, operation, place);
    }
    for (const simpler of simplerOperation(operation)) {
      yield { machine, operations: operations.with(at, simpler) };
    }
  }
}

function simplerMachines(line: MachineLine): MachineLine[] {
  return Object.keys(line).map((key) => {
    const others = Object.entries(line).filter(([name]) => name !== key);
    return Object.fromEntries(others);
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
  const pages = size / PAGE;
  const sizes = [1n, 2n, 3n, 4n, pages / 2n, pages - 1n].filter((n) => n > 0n && n < pages);
  const cuts = sizes.flatMap((n) => {
    const cut = size - n * PAGE;
    return [
      { iova, va, size: n * PAGE },
      { iova: iova + cut, va: va + cut, size: n * PAGE },
      { iova, va: va + cut, size: n * PAGE },
    ];
  });
  const moves = [0n, 0x100000n, 0x40000000n, iova - (iova % (PAGE * 512n))]
    .filter((simple) => simple !== iova)
    .map((simple) => ({ iova: simple, va, size }));
  return [...cuts, ...moves];
}

/** Forms of an operation that ask for less. */
function simplerOperation(operation: Operation): Operation[] {
  switch (operation.op) {
    case 'mmap':
      return simplerMmap(operation);
    case 'map':
      return operation.flags === 3 ? [] : [{ ...operation, flags: 3 }];
    case 'pin':
      return [1, 2].flatMap((n) => (n < operation.n ? { ...operation, n } : []));
    case 'memlock':
      return [0n, PAGE, 2n * PAGE, operation.bytes - PAGE].flatMap((bytes) =>
        bytes >= 0n && bytes < operation.bytes ? { ...operation, bytes } : [],
      );
    case 'fail':
      return operation.n > 1
        ? [
            { ...operation, n: 1 },
            { ...operation, n: operation.n - 1 },
          ]
        : [];
    case 'touch':
    case 'munmap':
    case 'mprotect':
      return operation.size > PAGE ? [{ ...operation, size: PAGE }] : [];
    default:
      return [];
  }
}

function simplerMmap(operation: MmapOperation): MmapOperation[] {
  const { frames, size, kind, ...rest } = operation;
  if (!frames || kind === 'huge2m' || kind === 'memfd2m') return [];
  const pages = Number(size / PAGE);
  return [1, 2, 4, pages >> 1, pages - 1]
    .filter((npage) => npage > 0 && npage < pages)
    .map((npage) => ({
      ...{ ...rest, kind, size: BigInt(npage) * PAGE },
      frames: firstFrames(frames, npage),
    }));
}

function firstFrames(frames: readonly FrameExtent[], npage: number): FrameExtent[] {
  const kept: FrameExtent[] = [];
  let left = npage;
  for (const extent of frames) {
    if (left <= 0) break;
    kept.push({ ...extent, npage: Math.min(extent.npage, left) });
    left -= extent.npage;
  }
  return kept;
}

/** What is to become small: mapped pages first, then memory, then all other numbers. */
function costOf({ machine, operations }: CheckSequence): number {
  let [mapped, memory, other] = [0, 0, Object.keys(machine).length];
  for (const operation of operations) {
    other += 1;
    if (operation.op === 'map') {
      mapped += Number(operation.size / PAGE);
      other += addressCost(operation.iova) + (operation.flags === 3 ? 0 : 1);
    } else if (operation.op === 'mmap') memory += Number(operation.size / PAGE);
    else if (operation.op === 'pin') other += operation.n;
    else if (operation.op === 'memlock') other += Math.min(1000, Number(operation.bytes / PAGE));
    else if (operation.op === 'fail') other += operation.n;
    else if ('size' in operation) other += Math.min(1000, Number(operation.size / PAGE));
  }
  return mapped * 2 ** 30 + memory * 2 ** 12 + other;
}

/** How hard an address is to read. */
function addressCost(address: bigint): number {
  return address.toString(16).replace(/0+$/, '').length + (address === 0n ? 0 : 1);
}
