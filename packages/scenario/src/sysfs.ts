/**
 * The files of sysfs that a scenario may write: module parameters and transparent huge pages.
 *
 * @source Documentation/admin-guide/mm/transhuge.rst, drivers/vfio/vfio_iommu_type1.c (module
 * parameters), 6.16
 */
import { InputError } from '@pinfold/base';
import type { Memory, ThpEnabled } from '@pinfold/mm';
import { selectedWord, shmemWord } from './machine-facts.ts';

const THP = '/sys/kernel/mm/transparent_hugepage/';
const TYPE1 = '/sys/module/vfio_iommu_type1/parameters/';

/** Parameters of vfio_iommu_type1 that can be written. */
export interface WritableParams {
  /** disable_hugepages. */
  disableHugepages: boolean;
  /** dma_entry_limit. */
  dmaEntryLimit: number;
}

/**
 * Writes a file.
 *
 * @param path the file
 * @param value what is written
 * @param memory has the settings of transparent huge pages
 * @param params has the module parameters
 * @throws {InputError} for a file that the model does not have, and for a value that it cannot take
 */
export function writeSysfs(
  path: string,
  value: string,
  memory: Memory,
  params: WritableParams,
): void {
  const bad = (expected: string): InputError =>
    new InputError(`sysfs ${path}`, expected, `'${value}'`);
  const size = /^hugepages-(\d+)kB\/enabled$/.exec(
    path.startsWith(THP) ? path.slice(THP.length) : '',
  );
  if (path === `${TYPE1}dma_entry_limit`) {
    if (!/^\d+$/.test(value)) throw bad('a number');
    params.dmaEntryLimit = Number(value);
  } else if (path === `${TYPE1}disable_hugepages`) {
    if (!/^[01yn]$/i.test(value)) throw bad('0, 1, Y or N');
    params.disableHugepages = /^[1y]$/i.test(value);
  } else if (path === `${THP}enabled`) {
    memory.thp = { ...memory.thp, enabled: selectedWord(value, `sysfs ${path}`) };
  } else if (path === `${THP}shmem_enabled`) {
    memory.thp = { ...memory.thp, shmem: shmemWord(value, `sysfs ${path}`) };
  } else if (path === `${THP}use_zero_page`) {
    if (!/^[01]$/.test(value)) throw bad('0 or 1');
    memory.thp = { ...memory.thp, useZeroPage: value === '1' };
  } else if (size) {
    const order = Math.log2(Number(size[1]) / 4);
    const word: ThpEnabled | 'inherit' =
      value === 'inherit' ? value : selectedWord(value, `sysfs ${path}`);
    memory.thp = { ...memory.thp, orders: { ...memory.thp.orders, [order]: word } };
  } else {
    const known = `${TYPE1}{dma_entry_limit,disable_hugepages}, ${THP}{enabled,shmem_enabled,use_zero_page,hugepages-*kB/enabled}`;
    throw new InputError(`sysfs ${path}`, `one of ${known}`, 'a file that is not modelled');
  }
}
