/**
 * What may explain an outcome that the log tells and the model does not give with what the log says of the
 * host: each is tried, and the first with which the model agrees is assumed, and said.
 */
import { formatSize } from '@pinfold/base';
import { hex } from '@pinfold/scenario';
import type { HostFacts, LoggedCall } from '../log/entries.ts';
import type { Assumptions } from './build.ts';

/** A call whose outcome the model does not give, with what was done before it. */
export interface Mismatch {
  /** Its number among the calls. */
  readonly index: number;
  /** The call. */
  readonly call: LoggedCall;
  /** Its errno in the log; null: it succeeded. */
  readonly recorded: string | null;
  /** Maps before it that succeeded, in bytes. */
  readonly mappedBytes: bigint;
  /** Mappings before it. */
  readonly mappings: number;
  /** Where the highest mapping before it ends. */
  readonly highest: bigint;
  /** Facts of the log. */
  readonly facts: HostFacts;
  /** Whether the maps go through iommufd. */
  readonly isIommufd: boolean;
}

type MapCall = LoggedCall & { op: 'map' };
type Guess = (mismatch: Mismatch, map: MapCall) => Partial<Assumptions>[];

const WIDTHS = [39, 46, 48];
const KIB = 1024;
/** As little as meets a map. */
const PAGE = 4096n;
/** Limits that hosts come with: 64 KiB, and 8 MiB from 5.16 on. */
const USUAL_LIMITS = [8 * 2 ** 20, 64 * KIB];
const HYPERTRANSPORT = { first: 0xfd_0000_0000n, last: 0xff_ffff_ffffn, type: 'reserved' };

const tooWide: Guess = ({ highest, facts }, { iova, size }) => {
  if (facts.addressWidth !== undefined) return [];
  return WIDTHS.filter((bits) => iova + size > 2n ** BigInt(bits) && highest <= 2n ** BigInt(bits))
    .slice(-1)
    .map((bits) => ({
      facts: { addressWidth: bits, iommu: facts.iommu ?? 'intel-vtd' },
      said: [
        `the IOMMU reaches ${bits} bits: with more, iova ${hex(iova)} would be valid (dmesg's "DMAR: Host address width" or the line "dmar0: ... cap" says it)`,
      ],
    }));
};

const hyperTransport: Guess = ({ facts }, { iova, size }) => {
  const meets = iova <= HYPERTRANSPORT.last && iova + size > HYPERTRANSPORT.first;
  if (!meets || facts.reserved) return [];
  return [
    {
      facts: { reserved: [HYPERTRANSPORT] },
      said: [
        'the host has an AMD IOMMU: the range meets the addresses that it reserves for HyperTransport (/sys/kernel/iommu_groups/N/reserved_regions says it)',
      ],
    },
  ];
};

const limited: Guess = ({ mappedBytes, facts, isIommufd }, { size }) => {
  const [low, high] = [Number(mappedBytes), Number(mappedBytes + size)];
  if (facts.memlock !== undefined) {
    if (!isIommufd || facts.memlock === Infinity || facts.chargedByUser !== undefined) return [];
    const others = facts.memlock - low;
    return [
      {
        facts: { chargedByUser: others },
        said: [
          `other processes of the same user have charged memory too: the limit of ${formatSize(facts.memlock)} is met only if they have more than ${formatSize(facts.memlock - high)}; taken are ${formatSize(others)}`,
        ],
      },
    ];
  }
  const usual = USUAL_LIMITS.find((limit) => limit >= low && limit < high);
  const memlock = usual ?? low;
  return [
    {
      facts: { memlock, ipcLock: false },
      said: [
        `RLIMIT_MEMLOCK is ${formatSize(memlock)}${usual === undefined ? '' : ', a usual default'}: the log does not say it ("ulimit -l", or dmesg's "RLIMIT_MEMLOCK (N) exceeded"), and any limit below ${formatSize(high)} gives ENOMEM`,
      ],
    },
  ];
};

const badMemory: Guess = ({ index, isIommufd }) =>
  (isIommufd ? (['bar', 'absent'] as const) : (['absent', 'readonly'] as const)).map((bad) => ({
    badMemory: new Map([[index, bad]]),
    said: [
      {
        absent:
          'a part of the memory cannot be faulted in: its file is shorter than its mapping, or the pool of huge pages is used up (/proc/PID/smaps, ls -l of the file, and HugePages_Free say which)',
        readonly: 'the memory cannot be written, and the map asks for READ and WRITE',
        bar: 'the memory is the BAR of a device, which iommufd does not pin',
      }[bad],
    ],
  }));

const mappedBefore: Guess = ({ index }, { iova, size }) => [
  {
    before: new Map([[index, { iova, size: PAGE }]]),
    said: [
      `a mapping that meets iova ${hex(iova)} to ${hex(iova + size - 1n)} was there before the log begins`,
    ],
  },
];

const fewEntries: Guess = ({ mappings, facts }) =>
  facts.entryLimit !== undefined || mappings === 0
    ? []
    : [
        {
          facts: { entryLimit: mappings },
          said: [
            `the container has no entry left after the ${mappings} mappings that the log shows: the others were made before it, or dma_entry_limit is smaller than 65535`,
          ],
        },
      ];

const privileged: Guess = ({ facts }) =>
  facts.memlock === undefined
    ? []
    : [
        {
          facts: { ipcLock: true },
          said: ['the process has CAP_IPC_LOCK: it maps more than its limit'],
        },
      ];

const GUESSES: Readonly<Record<string, readonly Guess[]>> = {
  EINVAL: [tooWide, hyperTransport],
  ENOMEM: [limited],
  EFAULT: [badMemory, tooWide],
  EEXIST: [mappedBefore],
  ENOSPC: [fewEntries],
};

/**
 * What may explain an outcome.
 *
 * @param mismatch the call
 * @returns assumptions to try, the likeliest first
 */
export function hypothesesFor(mismatch: Mismatch): Partial<Assumptions>[] {
  const { call, recorded } = mismatch;
  if (call.op !== 'map') return [];
  const guesses = recorded === null ? [privileged] : (GUESSES[recorded] ?? []);
  return guesses.flatMap((guess) => guess(mismatch, call));
}

/**
 * Assumptions together.
 *
 * @param first what is assumed
 * @param more what is assumed besides
 * @returns both
 */
export function combined(first: Assumptions, more: Partial<Assumptions>): Assumptions {
  return {
    backing: first.backing,
    badMemory: new Map([...(first.badMemory ?? []), ...(more.badMemory ?? [])]),
    before: new Map([...(first.before ?? []), ...(more.before ?? [])]),
    facts: { ...first.facts, ...more.facts },
    said: [...first.said, ...(more.said ?? [])],
  };
}
