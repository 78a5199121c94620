import { kernelVersions } from '@pinfold/kernels';
import { pinAlgorithms } from '@pinfold/vfio-type1';
import { describe, expect, test } from 'vitest';
import { explain } from './explain.ts';
import { Recording } from './recording.ts';
import { KERNELS_OWN, readState } from './settings.ts';
import { batchOf, Col, stepOf } from './steps.ts';

/** All steps of a mapping's life in words: `call: sentence`. */
function toldSteps(query: string, algorithm: string): string[] {
  const { settings } = readState(new URLSearchParams(query));
  const recording = new Recording(settings, algorithm);
  const { steps, shape } = recording.overview();
  const log = recording.window(0, steps);
  return Array.from({ length: steps }, (_, i) => {
    const before = i > 0 ? stepOf(log, i - 1) : null;
    const { call, text } = explain({ step: stepOf(log, i), before, shape });
    return `${call}: ${text}`;
  });
}

describe('one huge page and its neighbour', () => {
  const told = toldSteps('backing=thp&layout=H2&size=4M', 'series-1-4');

  test.each([
    'VFIO_IOMMU_MAP_DMA(vaddr=0x1000000000, iova=0x100000000, size=4M): The process wants its 1,024 pages to appear to the device. vfio_pin_map_dma goes through them: pin a physically contiguous chunk, map it, and again.',
    '__gup_longterm_locked(start=0x1000000000, npages=512) = 512: GUP reads 1 page-table leaf and pins by 2 calls of try_grab_folio, 4 atomic operations. 512 pointers lie in the batch’s array.',
    'vfio_pin_pages_remote: the chunk takes 512 pages: 512 entries continue the chunk, found by 511 compares of page pointers, 1 compare of frame numbers, 1 look-up of external pins and 1 limit test. The batch is empty: the chunk may go on in the next one.',
    'vfio_pin_pages_remote: the chunk ends: The next entry is frame 0x100000, the chunk would need 0x100400: here it ends, and 512 entries wait for the next chunk.',
    'intel_iommu_map_pages(iova=0x100200000, paddr=0x100000000, pgsize=0x200000, pgcount=1) = 0: The driver writes 1 leaf of 2M.',
    'iommu_map returns 0: The device reaches 1,024 pages now.',
    'vfio_unpin_pages_remote returns 512: 512 pages are unpinned, with 1 folio put and 2 atomic operations; 512 pins are left.',
    'VFIO_IOMMU_UNMAP_DMA returns 0: Nothing is mapped, pinned or charged any more.',
  ])('%s', (text) => {
    expect(told).toContain(text);
  });
});

/** How many pointers a sentence says are in the batch; null if it says nothing of them. */
function pointersTold(text: string): number | null {
  if (/[Tt]he batch is empty/.test(text)) return 0;
  const told =
    /([\d,]+) pointers? lies? in the batch/.exec(text) ??
    /The batch (?:still )?holds ([\d,]+) pinned/.exec(text) ??
    /([\d,]+) entries wait for the next chunk/.exec(text);
  return told && Number(told[1].replaceAll(',', ''));
}

describe.each(['thp&layout=H2&size=4M', '4k&layout=S4&size=64K', '4k&layout=T4&size=3M'])(
  'backing=%s: the sentence and the drawing of the batch are those of one step',
  (memory) => {
    test.each(pinAlgorithms)('$name', ({ name }) => {
      const { settings } = readState(new URLSearchParams(`backing=${memory}`));
      const recording = new Recording(settings, name);
      const { steps, shape } = recording.overview();
      const log = recording.window(0, steps);
      for (let i = 0; i < steps; i++) {
        const step = stepOf(log, i);
        if (step.at(Col.phase) === 1) break;
        const { call, text } = explain({ step, before: i > 0 ? stepOf(log, i - 1) : null, shape });
        const { entries } = batchOf(step.row);
        const told = pointersTold(text);
        if (told !== null) expect(`${i} ${call}: ${entries}`).toBe(`${i} ${call}: ${told}`);
        // Only pages that are pinned, and in no chunk, have a pointer there.
        const taken = step.at(Col.chunkStart) + step.at(Col.chunkPinned);
        if (entries > 0) expect(entries).toBeLessThanOrEqual(step.at(Col.pins) - taken);
      }
    });
  },
);

test.each(kernelVersions)(
  '$series: every pinned page is in a chunk or drawn in the batch',
  (of) => {
    const { settings } = readState(new URLSearchParams(`kernel=${of.series}`));
    const recording = new Recording(settings, KERNELS_OWN);
    const { firstUnmapStep } = recording.overview();
    const log = recording.window(0, firstUnmapStep);
    for (let i = 0; i < firstUnmapStep; i++) {
      const step = stepOf(log, i);
      const taken = step.at(Col.chunkStart) + step.at(Col.chunkPinned);
      expect([i, batchOf(step.row).entries]).toEqual([i, step.at(Col.pins) - taken]);
    }
  },
);

test.each(pinAlgorithms)('$name: every step is said in words', ({ name }) => {
  for (const query of ['backing=4k&layout=S4&size=64K', 'backing=hugetlb-2m&size=4M']) {
    const silent = toldSteps(query, name).filter((text) => !/: \S/.test(text));
    expect(silent).toEqual([]);
    expect(toldSteps(query, name).join(' ')).not.toMatch(/NaN|undefined|-\d+ pages/);
    expect(toldSteps(query, name).join(' ')).not.toMatch(
      /(?<![\d,])1 (?:pages|entries|pointers|pins|pinned entries|page are)\b/,
    );
  }
});
