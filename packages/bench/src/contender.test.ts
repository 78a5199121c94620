import { InputError } from '@pinfold/base';
import { kernelVersion, kernelVersions } from '@pinfold/kernels';
import { pinAlgorithm, pinAlgorithms } from '@pinfold/vfio-type1';
import { describe, expect, it } from 'vitest';
import { contender } from './contender.ts';

describe('contender', () => {
  it('is a kernel with its own algorithm, a point release too', () => {
    for (const kernel of kernelVersions) {
      expect(contender(`${kernel.series}.3`)).toEqual({
        name: `${kernel.series}.3`,
        kernel,
        pinAlgorithm: kernel.type1.pinAlgorithm,
        series: [kernel.series],
      });
    }
  });

  it('is an algorithm in 6.18, with the published figures of the releases that have it', () => {
    for (const algorithm of pinAlgorithms) {
      expect(contender(algorithm.name)).toMatchObject({
        kernel: kernelVersion('6.18'),
        pinAlgorithm: algorithm,
      });
    }
    for (const name of ['batched', 'series-1-4']) {
      const having = kernelVersions.filter(({ type1 }) => type1.pinAlgorithm.name === name);
      expect(having.length).toBeGreaterThan(0);
      expect(contender(name).series).toEqual(having.map(({ series }) => series));
    }
    expect(contender('extent')).toMatchObject({ series: [], pinAlgorithm: pinAlgorithm('extent') });
  });

  it('is nothing else', () => {
    const known = kernelVersions.map(({ series }) => series).join(', ');
    const expected = `${known} or a point release of these, or a pin algorithm`;
    expect(() => contender('4.4')).toThrow(new InputError('kernel', expected, "'4.4'"));
  });
});
