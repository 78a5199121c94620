import { describe, expect, it } from 'vitest';
import { instructionKernels, instructionProfile } from './instructions.ts';

/** Kernels that are recorded and modelled. */
const KERNELS = ['6.12.90', '6.16.12', '6.18.15', '7.2.12', '7.3.4'];

describe('instructions of recorded kernels', () => {
  const errors = KERNELS.map((kernel) =>
    instructionProfile(kernel)
      .rows.filter(({ fitted, unknownLayout }) => !fitted && !unknownLayout)
      .map(({ row, predicted }) => Math.abs(predicted.seconds / row.instructions - 1)),
  );

  it('of held-out scenarios with huge pages are within 5 % each, 2 % on average', () => {
    for (const ofKernel of errors) {
      expect(ofKernel).toHaveLength(6);
      expect(Math.max(...ofKernel)).toBeLessThan(0.05);
    }
    const all = errors.flat();
    expect(all.reduce((a, b) => a + b, 0) / all.length).toBeLessThan(0.02);
  });

  it('were counted on these kernels', () => {
    for (const kernel of KERNELS) expect(instructionKernels).toContain(kernel);
  });
}, 600_000);
