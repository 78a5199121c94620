import { Errno } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { createTask, mmapAnonymous } from './create-task.ts';
import { touchPage } from './fault.ts';
import { LATEST_MM_RULES } from './rules.ts';

describe('createTask', () => {
  test('has 256 MiB of free memory under the rules of 7.2, and the limit of a kernel', () => {
    const { mm, memlockPages, capIpcLock } = createTask();
    expect(mm.memory.rules).toBe(LATEST_MM_RULES);
    expect([memlockPages, capIpcLock]).toEqual([2048, false]);
    expect(mmapAnonymous(mm, 0, 65536)).toBe(0);
    for (let vpn = 0; vpn < 65536; vpn += 512) expect(touchPage(mm, vpn, true)).toBe(0);
    expect(mm.pageTable.pfnAt(65535)).toBeGreaterThanOrEqual(0x100000);
    expect(mmapAnonymous(mm, 65536, 1)).toBe(0);
    expect(touchPage(mm, 65536, true)).not.toBe(0);
  });

  test('takes another size and other rules', () => {
    const rules = { ...LATEST_MM_RULES, mremapMovesSeveral: false };
    const { mm } = createTask({ npage: 32768, rules });
    expect(mm.memory.rules).toBe(rules);
    expect(mm.memory.memmap.pfnValid(0x100000 + 32767)).toBe(true);
    expect(mm.memory.memmap.pfnValid(0x100000 + 32768)).toBe(false);
  });

  test('processes do not share a machine', () => {
    expect(createTask().mm.memory).not.toBe(createTask().mm.memory);
  });
});

test('mmapAnonymous does not replace what is mapped', () => {
  const { mm } = createTask();
  expect(mmapAnonymous(mm, 16, 16)).toBe(0);
  expect(mmapAnonymous(mm, 31, 2)).toBe(-Errno.EEXIST);
});
