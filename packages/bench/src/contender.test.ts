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
    expect(contender('batched').series).toEqual(['6.16']);
    expect(contender('series-1-4').series).toEqual(['6.18', '7.2']);
    expect(contender('extent')).toMatchObject({ series: [], pinAlgorithm: pinAlgorithm('extent') });
  });

  it('is nothing else', () => {
    const expected = '6.12, 6.16, 6.18, 7.2 or a point release of these, or a pin algorithm';
    expect(() => contender('5.4')).toThrow(new InputError('kernel', expected, "'5.4'"));
  });
});
