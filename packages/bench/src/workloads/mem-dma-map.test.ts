import { KernelError, ModelBug } from '@pinfold/base';
import { kernelVersion } from '@pinfold/kernels';
import { describe, expect, it } from 'vitest';
import { backing } from '../backings.ts';
import { layouts } from '../layouts.ts';
import { MemDmaMap } from './mem-dma-map.ts';

function workload(): MemDmaMap {
  const kernel = kernelVersion('6.18');
  return new MemDmaMap({ kernel, backing: backing('4k'), layout: layouts.T4, bytes: 2 ** 21 });
}

describe('MemDmaMap', () => {
  it('maps and unmaps again and again, and leaves nothing', () => {
    const test = workload();
    for (let i = 0; i < 3; i++) {
      test.map();
      test.unmap();
      expect(() => test.checkReleased()).not.toThrow();
    }
    expect(test.counters.snapshot()).toMatchObject({ pageFills: 3 * 512, putCalls: 3 * 512 });
  });

  it('says what is left of a mapping', () => {
    const test = workload();
    test.map();
    expect(() => test.checkReleased()).toThrow(
      new ModelBug('after unmapping everything, 512 pins and 512 charged pages are left'),
    );
  });

  it('passes on what the kernel refuses', () => {
    const test = workload();
    test.map();
    expect(() => test.map()).toThrow(KernelError);
  });
});
