import { kernelVersion } from '@pinfold/kernels';
import { runScenario } from '@pinfold/scenario';
import { describe, expect, test } from 'vitest';
import { parseScenario } from '../operations/index.ts';
import { ModelMachine } from '../machine/model-machine.ts';

const THP = '/sys/kernel/mm/transparent_hugepage/';
const TYPE1 = '/sys/module/vfio_iommu_type1/parameters/';

/** Result of each write, and what the file contains then. */
async function write(...writes: (readonly [path: string, val: string])[]): Promise<unknown[]> {
  const lines = writes.map(([path, val]) => `sysfs path=${path} val=${val}`);
  const machine = new ModelMachine({ kernel: kernelVersion('7.2') });
  const { steps } = await runScenario(parseScenario(lines, 'x.scn'), machine);
  return steps.map(({ observation: { errno, after } }) => [errno, after]);
}

describe('a write to sysfs', () => {
  test.each([
    ['dma_entry_limit', '18446744073709551615', 'ERANGE', '65535'],
    ['dma_entry_limit', '4294967295', null, '4294967295'],
    ['disable_hugepages', 'on', null, 'Y'],
    ['disable_hugepages', '2', 'EINVAL', 'N'],
  ])('%s %s', async (file, val, errno, after) => {
    expect(await write([`${TYPE1}${file}`, val])).toEqual([[errno, after]]);
  });

  test.each([
    ['enabled', 'never', null, 'always madvise [never]'],
    ['enabled', 'inherit', 'EINVAL', '[always] madvise never'],
    ['enabled', 'Always', 'EINVAL', '[always] madvise never'],
    ['shmem_enabled', 'force', null, 'always within_size advise never deny [force]'],
    ['use_zero_page', '2', 'EINVAL', '1'],
    ['use_zero_page', '00', null, '0'],
    ['use_zero_page', '0x0', 'EINVAL', '1'],
    ['hugepages-16kB/enabled', 'madvise', null, 'always inherit [madvise] never'],
    ['hugepages-2048kB/enabled', 'foo', 'EINVAL', 'always [inherit] madvise never'],
    ['hugepages-4kB/enabled', 'always', 'ENOENT', undefined],
    ['hugepages-5kB/enabled', 'always', 'ENOENT', undefined],
    ['hugepages-0kB/enabled', 'always', 'ENOENT', undefined],
    ['hugepages-8kB/enabled', 'always', 'ENOENT', undefined],
    ['hugepages-064kB/enabled', 'always', 'ENOENT', undefined],
    ['hugepages-4096kB/enabled', 'always', 'ENOENT', undefined],
  ])('transparent_hugepage/%s %s', async (file, val, errno, after) => {
    expect(await write([`${THP}${file}`, val])).toEqual([[errno, after]]);
  });

  test('that is refused leaves what the one before has set', async () => {
    const file = `${THP}hugepages-64kB/enabled`;
    expect(await write([file, 'always'], [file, 'alwaysx'], [`${TYPE1}nosuch`, '1'])).toEqual([
      [null, '[always] inherit madvise never'],
      ['EINVAL', '[always] inherit madvise never'],
      ['ENOENT', undefined],
    ]);
  });

  test.each([`${THP}defrag`, `${THP}hugepages-64kB/shmem_enabled`, '/sys/a'])(
    '%s is not modelled',
    async (path) => {
      await expect(write([path, 'always'])).rejects.toThrow('a file that is not modelled');
    },
  );
});
