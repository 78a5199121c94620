import type { DmaUnmapNotification } from '@pinfold/scenario';
import { describe, expect, it } from 'vitest';
import { compareLastWords, comparePinsLeft, diedInBug } from './end-of-pass.ts';
import type { RecordedPass, RecordedStep } from '../recording/recording.ts';

function step(acquired: number, released: number, avail?: number): RecordedStep {
  return {
    ...{ op: 'pin', line: 'pin', ret: 0, errno: null, mm: { VmLck: 0 }, memlock: null },
    ...{ pins: { acquired, released }, ...(avail !== undefined && { avail }) },
  };
}

function pass(change: Partial<RecordedPass>): RecordedPass {
  return {
    ...{ pass: 'trace', exit_status: 0, timeout: 0, pins_left: 0, wall_ms: 1, steps: [] },
    ...change,
  };
}

/** A notification of a device. */
const told = (dev: string): DmaUnmapNotification => ({
  ...{ dev, iova: '0x0', size: '0x1000', held: 1, released: 1 },
});

const verdict = (recorded: Partial<RecordedPass>, model: number): string =>
  comparePinsLeft(pass(recorded), model).verdict;

describe('pins that are left', () => {
  it.each<[string, Partial<RecordedPass>, number, string]>([
    ['none', { steps: [step(4, 4)] }, 0, 'passed'],
    ['none, but the model leaks', { steps: [step(4, 4)] }, 1, 'failed'],
    ['those of the process', { pins_left: 4, steps: [step(4, 0)] }, 4, 'passed'],
    ['those of earlier processes too', { pins_left: 12, steps: [step(4, 0)] }, 4, 'passed'],
    ['only those of earlier processes', { pins_left: 12, steps: [step(4, 4)] }, 0, 'passed'],
    ['fewer than the steps leave', { pins_left: 12, steps: [step(4, 0)] }, 0, 'failed'],
    ['more than the steps leave', { pins_left: 12, steps: [step(4, 0)] }, 12, 'failed'],
    ['at most what an open container holds', { pins_left: 8, steps: [step(4, 0, 9)] }, 0, 'passed'],
    ['more than an open container holds', { pins_left: 8, steps: [step(4, 0, 9)] }, 5, 'failed'],
  ])('%s', (_, recorded, model, expected) => {
    expect(verdict(recorded, model)).toBe(expected);
  });
});

describe('a kernel that died', () => {
  const klog = ['kernel BUG at drivers/vfio/x.c:1!', 'extpin: notify_total=11 held=2'];

  it('is known by its messages', () => {
    expect(diedInBug(pass({ broken: 'cut off', klog }))).toBe(true);
    expect(diedInBug(pass({ klog }))).toBe(false);
    expect(diedInBug(pass({ broken: 'cut off', klog: ['Oops'] }))).toBe(false);
    expect(diedInBug(pass({ broken: 'cut off' }))).toBe(false);
  });

  it.each([
    [{ held: { ext0: 2, ext1: 5 }, notify: [told('ext0')], notify_total: 11, notified: 0 }, []],
    [{ held: { ext0: 5, ext1: 2 }, notify: [told('ext1')], notify_total: 4, notified: 7 }, []],
    [
      { held: { ext0: 2 }, notify: [told('ext0')], notify_total: 10, notified: 0 },
      ['notify_total'],
    ],
    [{ held: { ext0: 1 }, notify: [told('ext0')], notify_total: 11, notified: 0 }, ['held']],
    [{ notify_total: 11, notified: 0 }, ['held']],
  ])('leaves %j', (model, paths) => {
    const { verdict: found, differences } = compareLastWords(pass({ klog }), model);
    expect(differences.map(({ path }) => path)).toEqual(paths);
    expect(found).toBe(paths.length > 0 ? 'failed' : 'passed');
  });
});
