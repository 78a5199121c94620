import { expect, test } from 'vitest';
import { X86_MSI_REGION } from './resv-region.ts';

test('the interrupt window of x86 is 0xfee00000 to 0xfeefffff, 1 MiB', () => {
  expect(X86_MSI_REGION.type).toBe('msi');
  expect(X86_MSI_REGION.start * 4096).toBe(0xfee00000);
  expect(X86_MSI_REGION.last * 4096 + 4095).toBe(0xfeefffff);
});
