/**
 * The files of sysfs that a scenario may write: module parameters and transparent huge pages. A value
 * that the kernel does not take is an errno and changes nothing.
 *
 * @source Documentation/admin-guide/mm/transhuge.rst, mm/huge_memory.c, mm/shmem.c,
 * drivers/vfio/vfio_iommu_type1.c (module parameters), 6.16; recordings of family more, prm*
 */
import { Errno, InputError, PAGE_SIZE } from '@pinfold/base';
import {
  isAnonThpOrder,
  SHMEM_ENABLED,
  THP_ENABLED,
  THP_SIZE_ENABLED,
  type Memory,
  type ThpSettings,
} from '@pinfold/mm';
import { kstrtobool, kstrtouint, type Parsed } from './parse-kernel-value.ts';

const THP = '/sys/kernel/mm/transparent_hugepage/';
const TYPE1 = '/sys/module/vfio_iommu_type1/parameters/';
const THP_SIZE = /^\/sys\/kernel\/mm\/transparent_hugepage\/hugepages-(\d+)kB\/enabled$/;

/** Parameters of vfio_iommu_type1 that can be written. */
export interface WritableParams {
  /** disable_hugepages. */
  disableHugepages: boolean;
  /** dma_entry_limit. */
  dmaEntryLimit: number;
}

/** What sysfs shows and changes. */
export interface SysfsSettings {
  /** Has the settings of transparent huge pages. */
  readonly memory: Memory;
  /** Has the module parameters. */
  readonly params: WritableParams;
}

/** What a write led to. */
export interface SysfsWritten {
  /** 0 or a negative errno. */
  readonly code: number;
  /** What the file contains afterwards; null if there is none. */
  readonly after: string | null;
}

/** A file. */
interface SysfsFile {
  /** What it contains. */
  show(): string;
  /** Takes a value: 0, or a negative errno. */
  store(value: string): number;
}

/**
 * Writes a file.
 *
 * @param path the file
 * @param value what is written
 * @param settings what the files show and change
 * @returns 0 or a negative errno, and what the file contains then
 * @throws {InputError} for a file that the model does not have
 */
export function writeSysfs(path: string, value: string, settings: SysfsSettings): SysfsWritten {
  const file = fileOf(path, settings);
  if (file === null) return { code: -Errno.ENOENT, after: null };
  const code = file.store(value);
  return { code, after: file.show() };
}

/** The file of a path; null where the kernel has none. */
function fileOf(path: string, { memory, params }: SysfsSettings): SysfsFile | null {
  const change = (thp: Partial<ThpSettings>): void => {
    memory.thp = { ...memory.thp, ...thp };
  };
  const { thp } = memory;
  const [, kilobytes] = THP_SIZE.exec(path) ?? [];
  if (kilobytes !== undefined) {
    const order = Math.log2((Number(kilobytes) * 1024) / PAGE_SIZE);
    if (!isAnonThpOrder(order)) return null;
    return words(THP_SIZE_ENABLED, thp.orders[order] ?? 'never', (word) => {
      change({ orders: { ...thp.orders, [order]: word } });
    });
  }
  switch (path) {
    case `${TYPE1}dma_entry_limit`:
      return {
        show: () => String(params.dmaEntryLimit),
        store: (value) => stored(kstrtouint(value), (limit) => (params.dmaEntryLimit = limit)),
      };
    case `${TYPE1}disable_hugepages`:
      return {
        show: () => (params.disableHugepages ? 'Y' : 'N'),
        store: (value) => stored(kstrtobool(value), (set) => (params.disableHugepages = set)),
      };
    case `${THP}enabled`:
      return words(THP_ENABLED, thp.enabled, (enabled) => {
        change({ enabled });
      });
    case `${THP}shmem_enabled`:
      return words(SHMEM_ENABLED, thp.shmem, (shmem) => {
        change({ shmem });
      });
    case `${THP}use_zero_page`:
      return {
        show: () => (memory.thp.useZeroPage ? '1' : '0'),
        store(value) {
          if (!/^\+?0*[01]$/.test(value)) return -Errno.EINVAL;
          change({ useZeroPage: value.endsWith('1') });
          return 0;
        },
      };
    default:
      throw new InputError(
        `sysfs ${path}`,
        `one of ${TYPE1}{dma_entry_limit,disable_hugepages}, ` +
          `${THP}{enabled,shmem_enabled,use_zero_page,hugepages-*kB/enabled}`,
        'a file that is not modelled',
      );
  }
}

/** A file with one of some words, which it shows in brackets among the others. */
function words<Word extends string>(
  known: readonly Word[],
  selected: Word,
  set: (word: Word) => void,
): SysfsFile {
  let chosen = selected;
  return {
    show: () => known.map((word) => (word === chosen ? `[${word}]` : word)).join(' '),
    store(value) {
      const found = known.find((word) => word === value);
      if (found === undefined) return -Errno.EINVAL;
      chosen = found;
      set(found);
      return 0;
    },
  };
}

/** Takes a value that could be read. */
function stored<Value>(parsed: Parsed<Value>, set: (value: Value) => void): number {
  if ('errno' in parsed) return parsed.errno;
  set(parsed.value);
  return 0;
}
