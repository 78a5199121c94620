import { InputError } from '@pinfold/base';
import { ioPageTableFormats } from '@pinfold/iommu';
import { describe, expect, test } from 'vitest';
import { pinAlgorithms } from '@pinfold/vfio-type1';
import { kernelVersion, kernelVersions } from './kernel-versions.ts';

describe.each(kernelVersions)('kernel $series', (kernel) => {
  test('is found by its series and by any point release', () => {
    for (const name of [
      kernel.series,
      `${kernel.series}.0`,
      `${kernel.series}.15`,
      ` ${kernel.series}.3 `,
    ]) {
      expect(kernelVersion(name)).toBe(kernel);
    }
  });

  test('has three tables, each with its source', () => {
    for (const table of [kernel.mm, kernel.iommu, kernel.type1]) expect(table.source).toMatch(/\S/);
    expect(kernel.summary).toMatch(/\S/);
  });

  test('names a pin algorithm and page-table formats that exist', () => {
    expect(pinAlgorithms).toContain(kernel.type1.pinAlgorithm);
    const formats = ioPageTableFormats.map(({ name }) => name);
    for (const format of Object.values(kernel.iommu.formats)) expect(formats).toContain(format);
  });

  test('fills batches of one page of pointers', () => {
    expect(kernel.type1.batchCapacity).toBe('page');
  });
});

test('series are listed oldest first, each once', () => {
  const numbers = kernelVersions.map(({ series }) =>
    series.split('.').reduce((sum, part) => sum * 1000 + Number(part), 0),
  );
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
});

const known = kernelVersions.map(({ series }) => series);

test.each(['4.4', '7', '99.1', '', '6.16-rc1', 'v6.16', '6.16.1.2', 'latest', '16.16'])(
  '%j is no kernel that is modelled',
  (name) => {
    expect(() => kernelVersion(name)).toThrow(InputError);
    expect(() => kernelVersion(name)).toThrow(
      `kernel: expected ${known.join(', ')} or a point release of these, got '`,
    );
  },
);
