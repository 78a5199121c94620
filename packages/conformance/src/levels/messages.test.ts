import type { Observation } from '@pinfold/scenario';
import { describe, expect, it } from 'vitest';
import { compareMessages } from './messages.ts';

type Messages = Pick<Observation, 'warn' | 'klog' | 'warnedOnce'>;

function compare(kernel: Messages, model: Messages): string[] {
  const step: Observation = {
    ...{ op: 'pin', ret: 0, errno: null, mm: { VmLck: 0 }, memlock: null },
    pins: { acquired: 0, released: 0 },
  };
  return compareMessages({ ...step, ...kernel }, { ...step, ...model }).map(({ path }) => path);
}

const OLD =
  'WARNING: CPU: 0 PID: 9 at drivers/vfio/vfio_main.c:1594 vfio_pin_pages+0x69/0xb0 [vfio]';
const NEW =
  'WARNING: drivers/vfio/vfio_main.c:1701 at vfio_pin_pages+0x83/0x90 [vfio], CPU#0: exe/7';
const RIP = 'RIP: 0010:vfio_pin_pages+0x69/0xb0 [vfio]';
const WARNING = 'WARNING: vfio_pin_pages';
const LIMIT = 'vfio_pin_page_external: RLIMIT_MEMLOCK (98304) exceeded';
const TASK_LIMIT = 'vfio_pin_page_external: Task exe (220) RLIMIT_MEMLOCK (98304) exceeded';

describe('messages that agree', () => {
  it.each<[string, Messages, Messages]>([
    ['none', {}, {}],
    ['a warning', { warn: 1, klog: [OLD, RIP] }, { warn: 1, klog: [WARNING] }],
    ['a warning as 7.2 prints it', { warn: 1, klog: [NEW, RIP] }, { warn: 1, klog: [WARNING] }],
    ['a message that names a process', { klog: [TASK_LIMIT] }, { klog: [LIMIT] }],
    [
      'a warning that was given once, and before',
      { warn: 1, klog: [OLD, RIP] },
      { warn: 2, klog: [WARNING, WARNING], warnedOnce: [WARNING] },
    ],
    ['nothing but that', {}, { warn: 1, klog: [WARNING], warnedOnce: [WARNING] }],
    [
      'messages of which the recording lists 20',
      { warn: 12, klog: Array(10).fill([OLD, RIP]).flat() as string[] },
      { warn: 12, klog: Array(12).fill(WARNING) as string[] },
    ],
  ])('%s', (_, kernel, model) => {
    expect(compare(kernel, model)).toEqual([]);
  });
});

describe('messages that differ', () => {
  it.each<[string, Messages, Messages, string[]]>([
    ['a warning too few', { warn: 1, klog: [OLD] }, {}, ['warn', 'klog']],
    ['a warning too many', {}, { warn: 1, klog: [WARNING] }, ['warn', 'klog']],
    [
      'a warning of another function',
      { warn: 1, klog: [OLD] },
      { warn: 1, klog: ['WARNING: vfio_dma_rw'] },
      ['klog'],
    ],
    ['another limit', { klog: [TASK_LIMIT] }, { klog: [LIMIT.replace('98304', '4096')] }, ['klog']],
    [
      'two where one is given once',
      { warn: 2, klog: [OLD, OLD] },
      { warn: 1, klog: [WARNING], warnedOnce: [WARNING] },
      ['warn', 'klog'],
    ],
    [
      'none where only one of two is given once',
      {},
      { warn: 2, klog: [WARNING, WARNING], warnedOnce: [WARNING] },
      ['warn', 'klog'],
    ],
  ])('%s', (_, kernel, model, paths) => {
    expect(compare(kernel, model)).toEqual(paths);
  });
});
