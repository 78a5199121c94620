import { estimateVm, profile } from '@pinfold/bench';
import { describe, expect, it } from 'vitest';
import { commandLine } from './command-line.ts';
import type { EstimateRequest } from './request.ts';
import { runEstimate } from './run-estimate.ts';

const request: EstimateRequest = {
  ...{ memory: '16G', backing: 'thp', populated: 'no', containers: '2', bars: '32G' },
  ...{ kernel: '6.16', beside: '7.2', memlock: '64G', layout: '' },
  profile: 'jordan-2022-amd',
};

describe('the estimate of the page', () => {
  it('is that of the model, with parts that add up', () => {
    const { times, parts, notes, advice } = runEstimate(request);
    expect(times.map(({ kernel }) => kernel)).toEqual(['6.16', '7.2']);
    const vm = {
      ...{ name: 'guest', bytes: 2 ** 34, backing: 'thp', runs: null, populated: false },
      ...{ preallocThreads: 0, containers: 2, bars: [2 ** 35] },
    };
    const host = { kernel: '6.16', iommu: 'amd', hvo: false, memlock: 2 ** 36 };
    const rest = { capIpcLock: false, entryLimit: 65535 };
    const { map } = estimateVm(vm, { ...host, ...rest }, profile('jordan-2022-amd'));
    expect(parts[0].seconds).toBe(map.seconds);
    const sum = parts[0].parts.reduce((total, { seconds }) => total + seconds, 0);
    expect(sum).toBeCloseTo(map.seconds, 9);
    expect(notes.map(({ label }) => label)).toContain('locked memory');
    expect(advice.join()).toContain('hugetlb-1g as backing');
  });

  it.each<[Partial<EstimateRequest>, RegExp]>([
    [{ memory: 'lots' }, /^Memory: expected a size/],
    [{ containers: '0' }, /^Containers: expected a whole number/],
    [{ populated: 'x' }, /^Populated: expected a whole number/],
    [{ bars: '1G,x' }, /^Device memory: expected a size/],
    [{ layout: '4K' }, /^Runs:1: expected a length and a count/],
    [{ kernel: '2.4' }, /^kernel: expected/],
    [{ profile: 'x' }, /^Profile: expected one of/],
  ])('%j names the field', (change, message) => {
    expect(() => runEstimate({ ...request, ...change })).toThrow(message);
  });

  it('is that of a command line', () => {
    expect(commandLine(request)).toBe(
      'pinfold estimate --memory 16G --backing thp --containers 2 --bar 32G --kernel 6.16,7.2 ' +
        '--memlock 64G --profile jordan-2022-amd',
    );
  });
});
