/**
 * The files of sysfs that a scenario may write: module parameters and transparent huge pages. A value
 * that the kernel does not take is refused with its errno, and changes nothing.
 *
 * @source Documentation/admin-guide/mm/transhuge.rst, mm/huge_memory.c, mm/shmem.c,
 * drivers/vfio/vfio_iommu_type1.c (module parameters), 6.16; README-more, "Values of parameters"
 */
import { Errno, InputError } from '@pinfold/base';
import {
  SHMEM_ENABLED,
  THP_ENABLED,
  THP_SIZE_ENABLED,
  type Memory,
  type ThpSettings,
} from '@pinfold/mm';
import { failureOf, type Failure } from '@pinfold/scenario';
import { kstrtobool, kstrtoull, kstrtouint, type Parsed } from './kstrto.ts';

const THP = '/sys/kernel/mm/transparent_hugepage/';
const TYPE1 = '/sys/module/vfio_iommu_type1/parameters/';
/** Orders of the sizes in which anonymous memory can have huge pages: 16 KiB to 2 MiB. */
const ANON_ORDERS = [2, 3, 4, 5, 6, 7, 8, 9] as const;

/** Files beside those of the model that a kernel has: not modelled, but there. */
const OTHER_FILES: readonly RegExp[] = [
  /^\/sys\/module\/vfio_iommu_type1\/parameters\/allow_unsafe_interrupts$/,
  /^\/sys\/kernel\/mm\/transparent_hugepage\/(defrag|hpage_pmd_size|khugepaged\/.+|shrink_underused)$/,
  /^\/sys\/kernel\/mm\/transparent_hugepage\/hugepages-(8|16|32|64|128|256|512|1024|2048)kB\/(shmem_enabled|stats\/.+)$/,
];

/** Parameters of vfio_iommu_type1 that can be written. */
export interface WritableParams {
  /** disable_hugepages. */
  disableHugepages: boolean;
  /** dma_entry_limit; a container reads it when it gets its IOMMU driver. */
  dmaEntryLimit: number;
}

/** What the files set. */
export interface SysfsState {
  /** Has the settings of transparent huge pages. */
  readonly memory: Memory;
  /** The module parameters. */
  readonly params: WritableParams;
  /** Whether the kernel has type1, and with it its files; default: yes. */
  readonly hasType1?: boolean;
}

/** What a write led to. */
export interface SysfsWritten {
  /** 0, or a negative errno. */
  readonly code: number;
  /** What the file contains then; absent for a file that does not exist. */
  readonly after?: string;
  /** What refused the value. */
  readonly failure?: Failure;
}

/** A file. */
interface SysfsFile {
  /** Kernel function that takes what is written. */
  readonly store: string;
  /** Takes a value; an errno if it does not. */
  readonly write: (state: SysfsState, text: string) => number;
  /** What it contains. */
  readonly show: (state: SysfsState) => string;
}

const FILES: ReadonlyMap<string, SysfsFile> = new Map<string, SysfsFile>([
  [
    `${TYPE1}dma_entry_limit`,
    {
      store: 'param_set_uint',
      write: ({ params }, text) =>
        take(kstrtouint(text, 0), (value) => (params.dmaEntryLimit = value)),
      show: ({ params }) => String(params.dmaEntryLimit),
    },
  ],
  [
    `${TYPE1}disable_hugepages`,
    {
      store: 'param_set_bool',
      write: ({ params }, text) => take(kstrtobool(text), (on) => (params.disableHugepages = on)),
      show: ({ params }) => (params.disableHugepages ? 'Y' : 'N'),
    },
  ],
  [
    `${THP}enabled`,
    wordFile('enabled_store', THP_ENABLED, {
      get: ({ enabled }) => enabled,
      set: (enabled) => ({ enabled }),
    }),
  ],
  [
    `${THP}shmem_enabled`,
    wordFile('shmem_enabled_store', SHMEM_ENABLED, {
      get: ({ shmem }) => shmem,
      set: (shmem) => ({ shmem }),
    }),
  ],
  [
    `${THP}use_zero_page`,
    {
      store: 'use_zero_page_store',
      write: ({ memory }, text) => {
        const read = kstrtoull(text, 10);
        if ('value' in read && read.value > 1n) return -Errno.EINVAL;
        return take(read, (value) => (memory.thp = { ...memory.thp, useZeroPage: value === 1n }));
      },
      show: ({ memory }) => (memory.thp.useZeroPage ? '1' : '0'),
    },
  ],
  ...ANON_ORDERS.map((order): [string, SysfsFile] => [
    `${THP}hugepages-${4 << order}kB/enabled`,
    wordFile('anon_enabled_store', THP_SIZE_ENABLED, {
      get: ({ orders }) => orders[order] ?? 'never',
      set: (word, { orders }) => ({ orders: { ...orders, [order]: word } }),
    }),
  ]),
]);

/**
 * Writes a file.
 *
 * @param path the file
 * @param text what is written
 * @param state what the files set
 * @returns 0; -ENOENT for a file that no kernel has, -EINVAL or -ERANGE for a value that the file does not
 *   take; and what it contains then
 * @throws {InputError} for a file that the model does not have
 */
export function writeSysfs(path: string, text: string, state: SysfsState): SysfsWritten {
  const absent =
    (!state.memory.rules.thpSizes && path.startsWith(`${THP}hugepages-`)) ||
    (state.hasType1 === false && path.startsWith(TYPE1));
  const file = absent ? undefined : FILES.get(path);
  if (!file) {
    const missing = path.startsWith(THP) || path.startsWith(TYPE1);
    if (!missing || (!absent && OTHER_FILES.some((other) => other.test(path))))
      throw notModelled(path);
    return { code: -Errno.ENOENT, failure: failureOf('open', { path, exists: false }) };
  }
  const code = file.write(state, text);
  const failure = code < 0 && { failure: failureOf(file.store, { path, value: text }) };
  return { code, after: file.show(state), ...failure };
}

/** A file that holds one of several words, and shows them all with the one in brackets. */
function wordFile<Word extends string>(
  store: string,
  words: readonly Word[],
  setting: {
    readonly get: (thp: ThpSettings) => Word;
    readonly set: (word: Word, thp: ThpSettings) => Partial<ThpSettings>;
  },
): SysfsFile {
  return {
    store,
    write: ({ memory }, text) => {
      const word = words.find((known) => known === text);
      if (word === undefined) return -Errno.EINVAL;
      memory.thp = { ...memory.thp, ...setting.set(word, memory.thp) };
      return 0;
    },
    show: ({ memory }) =>
      words.map((word) => (word === setting.get(memory.thp) ? `[${word}]` : word)).join(' '),
  };
}

/** Takes a value that could be read. */
function take<Value>(read: Parsed<Value>, set: (value: Value) => void): number {
  if ('error' in read) return read.error;
  set(read.value);
  return 0;
}

function notModelled(path: string): InputError {
  const known = `${TYPE1}{dma_entry_limit,disable_hugepages}, ${THP}{enabled,shmem_enabled,use_zero_page,hugepages-*kB/enabled}`;
  return new InputError(`sysfs ${path}`, `one of ${known}`, 'a file that is not modelled');
}
