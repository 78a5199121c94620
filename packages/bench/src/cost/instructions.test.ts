import { describe, expect, it } from 'vitest';
import { instructionKernels, instructionProfile, type InstructionProfile } from './instructions.ts';

/** Kernels that are recorded and modelled. */
const KERNELS = ['6.12.90', '6.16.12', '6.18.15', '7.2.12', '7.3.4'];

const profiles = new Map<string, InstructionProfile>();

/** The profile of a kernel, fitted once. */
function profileOf(kernel: string): InstructionProfile {
  const found = profiles.get(kernel) ?? instructionProfile(kernel);
  profiles.set(kernel, found);
  return found;
}

/** Errors of the calls that are not fitted, each a share of what was counted. */
function errorsOf(kernel: string, unknownLayout: boolean): Map<string, number> {
  const rows = profileOf(kernel).rows.filter(
    (row) => !row.fitted && row.unknownLayout === unknownLayout,
  );
  return new Map(
    rows.map(({ row, predicted }) => [
      `${row.scenario} ${row.op}`,
      Math.abs(predicted.seconds / row.instructions - 1),
    ]),
  );
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

describe('instructions of recorded kernels', () => {
  it('of held-out scenarios with huge pages are within 5 % each, 2 % on average', () => {
    const all = KERNELS.map((kernel) => [...errorsOf(kernel, false).values()]);
    for (const ofKernel of all) {
      expect(ofKernel).toHaveLength(6);
      expect(Math.max(...ofKernel)).toBeLessThan(0.05);
    }
    expect(mean(all.flat())).toBeLessThan(0.02);
  });

  it('of an unmap whose layout its map has told are within 15 % each, 7 % on average', () => {
    const unmaps = KERNELS.flatMap((kernel) =>
      [...errorsOf(kernel, true)].filter(([call]) => call.endsWith(' unmap')),
    );
    expect(unmaps.length).toBeGreaterThan(10);
    expect(mean(unmaps.map(([, error]) => error))).toBeLessThan(0.07);
    for (const [call, error] of unmaps) expect(error, call).toBeLessThan(0.15);
  });

  it('were counted on these kernels', () => {
    for (const kernel of KERNELS) expect(instructionKernels).toContain(kernel);
  });
}, 600_000);
