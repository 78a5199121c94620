import { errnoName, InputError } from '@pinfold/base';
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
    expect(kernel.type1.batchCapacity).toBe(4096 / 8);
  });
});

// What the recordings show, and reference type1.md.
test.each([
  // series, algorithm, errno of a wrap, ranges checked (before all, of devices, with ends that do not
  // wrap), superpage test, nesting type
  ['6.12', 'batched-page-array', 'EINVAL', false, true, true],
  ['6.16', 'batched', 'EINVAL', false, false, false],
  ['6.18', 'series-1-4', 'EOVERFLOW', true, false, false],
  ['7.2', 'series-1-4', 'EOVERFLOW', true, false, false],
])('type1 of %s', (series, algorithm, wrap, first, fgspTest, nestingType) => {
  const { type1 } = kernelVersion(series);
  expect(type1.pinAlgorithm.name).toBe(algorithm);
  expect(errnoName(-type1.wrapErrno)).toBe(wrap);
  expect(type1).toMatchObject({ rangeCheckedFirst: first, fgspTest, nestingType });
  expect(type1).toMatchObject({ externalRangeChecked: first, exclusiveEnds: !first });
});

test.each([
  // series, page-table format, way through a range, unsharing of a huge zero page
  ['6.12', 'vtd-second-level-6-12', 'nth_page', 'split'],
  ['6.16', 'vtd-second-level', 'nth_page', 'thp'],
  ['6.18', 'vtd-second-level', 'page + i', 'thp'],
  ['7.2', 'generic-pt-vtd-ss', 'page + i', 'thp'],
])('IOMMU and mm of %s', (series, format, rangeUnpinStep, hugeZeroUnshare) => {
  const { iommu, mm } = kernelVersion(series);
  expect(iommu.formats['intel-vtd']).toBe(format);
  expect(mm).toMatchObject({ rangeUnpinStep, hugeZeroUnshare });
});

test('series are listed oldest first, each once', () => {
  const numbers = kernelVersions.map(({ series }) =>
    series.split('.').reduce((sum, part) => sum * 1000 + Number(part), 0),
  );
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
});

const known = kernelVersions.map(({ series }) => series);

test.each(['6.15', '7', '7.3', '6.1', '', '6.16-rc1', 'v6.16', '6.16.1.2', 'latest', '16.16'])(
  '%j is no kernel that is modelled',
  (name) => {
    expect(() => kernelVersion(name)).toThrow(InputError);
    expect(() => kernelVersion(name)).toThrow(
      `kernel: expected ${known.join(', ')} or a point release of these, got '`,
    );
  },
);
