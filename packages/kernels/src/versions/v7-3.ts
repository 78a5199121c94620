/** Linux 7.3: in all that the recordings show, 7.2. */
import { defineRelease } from '../define-release.ts';
import type { KernelVersion } from '../kernel-version.ts';

/** The 7.3 series. */
export const v7_3: KernelVersion = defineRelease({
  series: '7.3',
  summary: 'as 7.2',
  recorded: ['7.3.4'],
});
