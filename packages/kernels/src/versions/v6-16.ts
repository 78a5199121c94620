/** Linux 6.16: before the large-folio series. */
import { defineRelease } from '../define-release.ts';
import type { KernelVersion } from '../kernel-version.ts';

/** The 6.16 series. */
export const v6_16: KernelVersion = defineRelease({
  series: '6.16',
  summary: 'page-by-page accounting and unpin in batches of 512',
  recorded: ['6.16.12'],
});
