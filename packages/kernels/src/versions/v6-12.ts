/** Linux 6.12: pfn mappings page by page, a superpage test at attach, the nesting type. */
import { defineRelease } from '../define-release.ts';
import type { KernelVersion } from '../kernel-version.ts';

/** The 6.12 series. */
export const v6_12: KernelVersion = defineRelease({
  series: '6.12',
  summary: 'as 6.16, but one call per 4 KiB of device memory, and a lone page is pinned twice',
  recorded: ['6.12.90'],
});
