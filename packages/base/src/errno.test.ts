import { describe, expect, test } from 'vitest';
import { Errno, errnoName } from './errno.ts';

// include/uapi/asm-generic/errno-base.h and errno.h
const ASM_GENERIC = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  E2BIG: 7,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENOTTY: 25,
  ENOSPC: 28,
  ERANGE: 34,
  EDEADLOCK: 35,
  EOVERFLOW: 75,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
};

test('the numbers are those of the asm-generic headers', () => {
  expect(Errno).toEqual(ASM_GENERIC);
});

describe('errnoName', () => {
  test.each(Object.entries(ASM_GENERIC))('%s is %i, with either sign', (name, number) => {
    expect(errnoName(number)).toBe(name);
    expect(errnoName(-number)).toBe(name);
  });

  test('a number that the model does not know stays a number', () => {
    expect(errnoName(-5)).toBe('errno 5');
  });
});
