import { Errno, ModelBug } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import {
  BASE,
  bootFaulting,
  counting,
  entryAt,
  foliosOf,
  map,
  NO_THP,
  RW,
  stateOf,
  type Faulting,
} from '../test/faulting.ts';
import { SMALL_PFN } from '../test/free-frames.ts';
import { anonymousMemory } from './anon.ts';
import {
  FAULT_FLAG,
  faultErrno,
  fixupUserFault,
  handleMmFault,
  touchPage,
  VM_FAULT,
  type VmOperations,
} from './fault.ts';
import { PciBar } from './pci-bar.ts';
import { mprotect } from './syscalls.ts';
import { VM, Vma } from './vma.ts';

/** A machine with two pages of anonymous memory at BASE. */
function anon(flags = RW): Faulting {
  const machine = bootFaulting(NO_THP);
  map(machine.mm, BASE, 2, anonymousMemory, flags);
  return machine;
}

/** Memory whose faults end in one way, whatever is asked. */
function answering(code: number): VmOperations {
  return { name: 'test', anonymous: false, dirtyTracking: false, order: 0, fault: () => code };
}

describe('handle_mm_fault', () => {
  test.each([
    ['a read', 0, RW, 0],
    ['a write', FAULT_FLAG.WRITE, RW, 0],
    ['a write to what is read-only', FAULT_FLAG.WRITE, VM.READ, VM_FAULT.SIGSEGV],
  ])('counts %s, also one that fails', (_, flags, prot, code) => {
    const { mm, memory } = anon(prot);
    const [vma] = mm.vmas;
    const counted = counting(memory, () => {
      expect(handleMmFault(mm, vma, BASE, flags)).toBe(code);
    });
    expect(counted.pageFaults).toBe(1);
  });

  test('is a SIGBUS where nobody answers for the memory', () => {
    const { mm } = bootFaulting();
    const vma = new Vma(BASE, BASE + 1, RW);
    mm.vmas.insert(vma);
    expect(handleMmFault(mm, vma, BASE, FAULT_FLAG.WRITE)).toBe(VM_FAULT.SIGBUS);
  });
});

test.each([
  [0, 0],
  [VM_FAULT.OOM, -Errno.ENOMEM],
  [VM_FAULT.SIGBUS, -Errno.EFAULT],
  [VM_FAULT.SIGSEGV, -Errno.EFAULT],
])('GUP makes of fault code %i the errno %i', (code, errno) => {
  expect(faultErrno(code)).toBe(errno);
});

describe('fixup_user_fault', () => {
  test('faults a page in and takes no reference', () => {
    const { mm, memory } = anon();
    const counted = counting(memory, () => {
      expect(fixupUserFault(mm, BASE, true)).toBe(0);
    });
    expect(counted).toEqual({ fixupFaults: 1, pageFaults: 1, pagesZeroed: 1 });
    expect(entryAt(mm, BASE)).toMatchObject({ pfn: SMALL_PFN, bits: 'write anonExclusive' });
    expect(foliosOf(memory)).toEqual([[0, 1, 0]]);
  });

  test.each([
    ['no VMA', BASE + 2, RW, false],
    ['a write to read-only memory', BASE, VM.READ, true],
    ['a read of write-only memory', BASE, VM.WRITE, false],
    ['inaccessible memory', BASE, 0, false],
  ])('is EFAULT, without a fault: %s', (_, vpn, prot, write) => {
    const { mm, memory } = anon(prot);
    const counted = counting(memory, () => {
      expect(fixupUserFault(mm, vpn, write)).toBe(-Errno.EFAULT);
    });
    expect(counted).toEqual({ fixupFaults: 1 });
  });

  test('is ENOMEM without a frame, and EFAULT for a device that is off', () => {
    const machine = anon();
    const { mm, frames } = machine;
    const bar = new PciBar(2 ** 26, 1);
    bar.enabled = false;
    map(mm, BASE + 8, 1, bar, RW | VM.SHARED | VM.PFNMAP | VM.IO);
    frames.left = 0;
    const before = stateOf(machine);
    expect(fixupUserFault(mm, BASE, true)).toBe(-Errno.ENOMEM);
    expect(fixupUserFault(mm, BASE + 8, true)).toBe(-Errno.EFAULT);
    expect(stateOf(machine)).toEqual(before);
  });
});

describe('an access of the process itself', () => {
  test.each([
    ['a read of read-only memory', VM.READ, false, 0],
    ['a read of write-only memory: x86 has none', VM.WRITE, false, 0],
    ['a write to write-only memory', VM.WRITE, true, 0],
    ['a write to read-only memory', VM.READ, true, VM_FAULT.SIGSEGV],
    ['a read of inaccessible memory', 0, false, VM_FAULT.SIGSEGV],
    ['a write to inaccessible memory', 0, true, VM_FAULT.SIGSEGV],
  ])('%s', (_, prot, write, code) => {
    expect(touchPage(anon(prot).mm, BASE, write)).toBe(code);
  });

  test('is a SIGSEGV outside every VMA', () => {
    expect(touchPage(anon().mm, BASE + 2, false)).toBe(VM_FAULT.SIGSEGV);
  });

  test('faults once, and then never again', () => {
    const { mm, memory } = anon();
    expect(counting(memory, () => touchPage(mm, BASE, true)).pageFaults).toBe(1);
    expect(counting(memory, () => touchPage(mm, BASE, false))).toEqual({});
    expect(counting(memory, () => touchPage(mm, BASE, true))).toEqual({});
  });

  test('to memory that was made inaccessible fails, though its page is there', () => {
    const { mm } = anon();
    touchPage(mm, BASE, true);
    mprotect(mm, BASE, 2, 0);
    expect(mm.pageTable.pfnAt(BASE)).toBe(SMALL_PFN);
    expect(touchPage(mm, BASE, false)).toBe(VM_FAULT.SIGSEGV);
  });

  test('ends with what its fault ends with', () => {
    const { mm } = bootFaulting();
    map(mm, BASE, 1, answering(VM_FAULT.SIGBUS));
    expect(touchPage(mm, BASE, false)).toBe(VM_FAULT.SIGBUS);
  });

  test('that faults for ever is a bug of the model', () => {
    const { mm } = bootFaulting();
    map(mm, BASE, 1, answering(0));
    expect(() => touchPage(mm, BASE, false)).toThrow(ModelBug);
  });
});
