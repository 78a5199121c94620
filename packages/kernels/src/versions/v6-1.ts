/** Linux 6.1: read-only pins of zero pages and of private files, as they were before 6.2. */
import { defineRelease } from '../define-release.ts';
import type { KernelVersion } from '../kernel-version.ts';

/** The 6.1 series. */
export const v6_1: KernelVersion = defineRelease({
  series: '6.1',
  summary: 'as 6.12, but a read-only pin leaves zero pages and private file pages as they are',
  recorded: ['6.1.176'],
});
