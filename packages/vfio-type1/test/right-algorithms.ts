/** The algorithms whose outcome must be that of the releases on all memory. */
import { pinAlgorithms, type PinAlgorithm } from '../src/index.ts';

/** `page-list` fails earlier and on other pages; `contiguous-external-2020` maps as `page-at-a-time`. */
const OTHERS = ['page-list', 'contiguous-external-2020'];

/** Those without a known defect; what the others do wrong has tests of its own. */
export const rightAlgorithms: readonly PinAlgorithm[] = pinAlgorithms.filter(
  ({ name, defects }) => defects.length === 0 && !OTHERS.includes(name),
);

/**
 * Those that pin page by page. They map what lies before a page that cannot be pinned, and mark pages
 * dirty that they put to pin them again.
 */
export const PAGE_WISE: readonly string[] = ['page-at-a-time'];

/** Those without batches: where a map fails, they have pinned less. */
export const WITHOUT_BATCHES: readonly string[] = ['extent'];

/** Those that fill batches: what they do in the kernel differs only in how they look at them. */
export const batchAlgorithms: readonly PinAlgorithm[] = rightAlgorithms.filter(
  ({ name }) => !PAGE_WISE.includes(name) && !WITHOUT_BATCHES.includes(name),
);
