/**
 * Settings of transparent huge pages: which folio orders a fault may ask for.
 *
 * @source include/linux/huge_mm.h thp_vma_allowable_orders, Documentation/admin-guide/mm/transhuge.rst, 6.16
 */
import type { PageGeometry } from '@pinfold/base';
import type { MmRules } from './rules.ts';
import { VM, type Vma } from './vma.ts';

/** The words of /sys/kernel/mm/transparent_hugepage/enabled, in its order. */
export const THP_ENABLED = ['always', 'madvise', 'never'] as const;
/** Who gets huge pages. */
export type ThpEnabled = (typeof THP_ENABLED)[number];
/** The words of hugepages-<size>kB/enabled, in its order. */
export const THP_SIZE_ENABLED = ['always', 'inherit', 'madvise', 'never'] as const;
/** The words of shmem_enabled, in its order. */
export const SHMEM_ENABLED = ['always', 'within_size', 'advise', 'never', 'deny', 'force'] as const;

/** Settings of anonymous THP. */
export interface ThpSettings {
  /** /sys/kernel/mm/transparent_hugepage/enabled. */
  readonly enabled: ThpEnabled;
  /**
   * `hugepages-<size>kB/enabled` per order in pages, from 2 to that of a PMD leaf; an absent order is
   * `never`.
   */
  readonly orders: Readonly<Partial<Record<number, (typeof THP_SIZE_ENABLED)[number]>>>;
  /** shmem_enabled: who gets huge pages in memfds and on tmpfs; `force` is for all. */
  readonly shmem: (typeof SHMEM_ENABLED)[number];
  /** use_zero_page: whether a read fault may map the huge zero page. */
  readonly useZeroPage: boolean;
}

/**
 * The kernel's defaults with CONFIG_TRANSPARENT_HUGEPAGE_ALWAYS.
 *
 * @param geometry page-table geometry of the machine
 * @returns the settings
 * @source mm/huge_memory.c huge_anon_orders_inherit, 6.16
 */
export function thpDefaults({ pmdOrder }: PageGeometry): ThpSettings {
  return {
    enabled: 'always',
    orders: { [pmdOrder]: 'inherit' },
    shmem: 'never',
    useZeroPage: true,
  };
}

/**
 * The orders that a fault in anonymous memory may ask for.
 *
 * @param settings the settings in sysfs
 * @param vma the VMA
 * @returns allowed orders above 0, largest first; whether they fit into the VMA is not asked
 * @source include/linux/huge_mm.h thp_vma_allowable_orders, 6.16
 */
export function thpOrders(settings: ThpSettings, vma: Vma): number[] {
  if (vma.flags & VM.NOHUGEPAGE) return [];
  const advised = (vma.flags & VM.HUGEPAGE) !== 0;
  const on = (word: ThpEnabled): boolean => word === 'always' || (word === 'madvise' && advised);
  return Object.entries(settings.orders)
    .filter(([, word]) => word !== undefined && on(word === 'inherit' ? settings.enabled : word))
    .map(([order]) => Number(order))
    .sort((a, b) => b - a);
}

/**
 * Whether a fault of device memory may map more than a page at once. The setting of the single sizes does
 * not count.
 *
 * @param settings the settings in sysfs
 * @param vma the VMA
 * @param rules the release's rules
 * @returns true if it may
 * @source include/linux/huge_mm.h thp_vma_allowable_orders, mm/huge_memory.c
 * __thp_vma_allowable_orders, 6.12 and 7.2; recordings bar01 to bar05
 */
export function deviceHugeAllowed(settings: ThpSettings, vma: Vma, rules: MmRules): boolean {
  if (vma.flags & VM.NOHUGEPAGE) return false;
  if (!rules.deviceHugeObeysThp || settings.enabled === 'always') return true;
  return settings.enabled === 'madvise' && (vma.flags & VM.HUGEPAGE) !== 0;
}
