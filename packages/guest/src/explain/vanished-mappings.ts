/**
 * Mappings that vanish with the last group of their container, although nobody unmapped them.
 *
 * @source drivers/vfio/container.c vfio_group_detach_container, 6.16: without a group the container
 * loses its IOMMU driver, and that frees all mappings
 */
import { pageNumber } from '@pinfold/base';
import type { Finding } from './finding.ts';
import { nameOf } from './live-mappings.ts';
import { countText, pagesText } from './units.ts';

/** Operations after which nobody expects a mapping. */
const ENDS: ReadonlySet<string> = new Set(['close', 'closecontainer']);

/** Mappings of a container whose last group has left. */
export const vanishedMappings: Finding = {
  name: 'mappings that vanish when the last group leaves',
  find({ done: { operation, observation }, live, before }) {
    if (ENDS.has(operation.op) || observation.avail !== undefined) return null;
    if (before.shown.avail === undefined) return null;
    let [count, pages] = [0, 0];
    for (const { size } of live) {
      count++;
      pages += pageNumber(size);
    }
    const [first] = live;
    if (count === 0) return null;
    return (
      `The last group has left the container, which loses its IOMMU type and with it ` +
      `${countText(count, 'mapping')} of ${pagesText(pages)}, first ${nameOf(first)}. A group that joins ` +
      'later finds none of them: VFIO_SET_IOMMU and every map must be done again.'
    );
  },
};
