/** Linux 6.18: with the large-folio series, and with the argument checks of later releases. */
import { defineRelease } from '../define-release.ts';
import type { KernelVersion } from '../kernel-version.ts';

/** The 6.18 series. */
export const v6_18: KernelVersion = defineRelease({
  series: '6.18',
  summary: 'runs of consecutive pages on pin, range unpin with one put per folio',
  recorded: ['6.18.15'],
});
