/**
 * What a counterexample rests on: behaviour of the kernel around the algorithm, and whether a real
 * kernel was recorded doing it. A counterexample that rests on the model alone is to be confirmed.
 */
import type { Operation } from '@pinfold/guest';
import type { KernelVersion } from '@pinfold/kernels';
import type { CheckSequence } from '../sequence/sequence.ts';

/** Behaviour of the kernel, and how a sequence shows that it rests on it. */
interface Ground {
  /** What it is, in a few words. */
  readonly name: string;
  /** A recording that shows it, family and scenario; null: none does. */
  readonly recording: string | null;
  /** Whether a sequence rests on it. */
  readonly under: (sequence: CheckSequence) => boolean;
}

/** Releases whose recordings show all grounds that have one, by series. */
export const RECORDED_RELEASES: Readonly<Record<string, string>> = {
  ...{ '6.1': '6.1.176', '6.12': '6.12.90', '6.16': '6.16.12', '6.18': '6.18.15' },
  ...{ '7.2': '7.2.12', '7.3': '7.3.4' },
};

const PAGE = 4096n;

/** All of them. */
export const grounds: readonly Ground[] = [
  {
    name: 'classic sparsemem',
    recording: null,
    under: ({ machine }) => machine.model === 'sparsemem',
  },
  {
    name: 'a BAR at a chosen frame',
    recording: null,
    under: ({ machine }) => machine.bar !== undefined,
  },
  { name: 'a call that fails on demand', recording: null, under: has(({ op }) => op === 'fail') },
  {
    name: 'copy on write of a large folio',
    recording: 'more/cow03-thp-reap-map-rw',
    under: (one) => hasFork(one) && hasLargeFolio(one),
  },
  {
    name: 'copy on write after fork',
    recording: 'main/b37-fork-then-map',
    under: (one) => hasFork(one) && !hasLargeFolio(one),
  },
  {
    name: 'private pages of a file',
    recording: 'main/b22-ext4-private',
    under: has((one) => one.op === 'mmap' && one.kind === 'file'),
  },
  {
    name: 'pages of devices at addresses inside pages',
    recording: 'extpin/x20-unaligned',
    under: has((one) => one.op === 'pin' && one.iova % PAGE !== 0n),
  },
  {
    name: 'pages of devices across mappings',
    recording: 'extpin/x02-cross',
    under: (one) => pinsAcross(one),
  },
  {
    name: 'a group that is attached after devices have pinned',
    recording: 'extpin/y02-attach-later',
    under: ({ operations }) =>
      operations.findIndex(({ op }) => op === 'pin') >= 0 &&
      operations.findLastIndex(({ op }) => op === 'addgroup') >
        operations.findIndex(({ op }) => op === 'pin'),
  },
  {
    name: 'pages that devices pin',
    recording: 'extpin/x01-one',
    under: has(({ op }) => op === 'pin'),
  },
  {
    name: 'memory of a BAR',
    recording: 'main/p05-half-anon-half-bar',
    under: has((one) => one.op === 'mmap' && one.kind === 'bar'),
  },
  {
    name: 'disable_hugepages',
    recording: 'main/m01-disable-hugepages-anon4k',
    under: has((one) => one.op === 'sysfs' && one.path.endsWith('/disable_hugepages')),
  },
  {
    name: 'dma_entry_limit',
    recording: 'main/e18-entry-limit',
    under: has((one) => one.op === 'sysfs' && one.path.endsWith('/dma_entry_limit')),
  },
  {
    name: 'RLIMIT_MEMLOCK that is reached',
    recording: 'main/e09-memlock-partway-anon4k',
    under: has(({ op }) => op === 'memlock'),
  },
  {
    name: 'logging of dirty pages',
    recording: 'main/d02-dirty-errors',
    under: has(({ op }) => op === 'dirty'),
  },
  {
    name: 'groups that come and go',
    recording: 'main/u11-two-groups',
    under: has(({ op }) => op === 'delgroup'),
  },
  {
    name: 'memory that is discarded',
    recording: 'main/b41-discard-while-pinned',
    under: has(({ op }) => op === 'madvise'),
  },
  {
    name: 'memory that is unmapped by the process',
    recording: 'main/b42-munmap-while-pinned',
    under: has(({ op }) => op === 'munmap'),
  },
  {
    name: 'memory whose protection changes',
    recording: 'main/b36-mprotect-read',
    under: has(({ op }) => op === 'mprotect'),
  },
];

/**
 * What a sequence rests on, in words.
 *
 * @param sequence the sequence
 * @param kernel the release that it was found on
 * @returns one line, such as `rests on memory of a BAR: recorded on 6.18.15 (main/p05…)`
 */
export function groundsText(sequence: CheckSequence, { series }: KernelVersion): string {
  const release = (RECORDED_RELEASES as Readonly<Record<string, string | undefined>>)[series];
  const others = Object.values(RECORDED_RELEASES).at(-1) ?? '';
  const found = grounds.filter(({ under }) => under(sequence));
  if (found.length === 0) return 'rests on plain maps and unmaps, which every recording has';
  const texts = found.map(({ name, recording }) => {
    if (recording === null) return `${name} (model only)`;
    return release === undefined
      ? `${name} (not recorded on ${series}; on ${others}, ${recording})`
      : `${name} (recorded on ${release}, ${recording})`;
  });
  return `rests on ${texts.join('; ')}`;
}

function has(test: (operation: Operation) => boolean): (sequence: CheckSequence) => boolean {
  return ({ operations }) => operations.some(test);
}

function hasFork({ operations }: CheckSequence): boolean {
  return operations.some(({ op }) => op === 'fork');
}

function hasLargeFolio({ operations }: CheckSequence): boolean {
  return operations.some(
    (one) =>
      one.op === 'mmap' &&
      (one.kind === 'huge2m' || (one.frames ?? []).some(({ order }) => order > 0)),
  );
}

/** Whether a device asks for pages of more than one mapping at once, or behind one. */
function pinsAcross({ operations }: CheckSequence): boolean {
  const maps = operations.filter((one) => one.op === 'map');
  return operations.some((one) => {
    if (one.op !== 'pin' || one.n < 2) return false;
    const last = one.iova + BigInt(one.n - 1) * PAGE;
    return maps.some(({ iova, size }) => {
      const inside = (at: bigint): boolean => at >= iova && at < iova + size;
      return inside(one.iova) && !inside(last);
    });
  });
}
