/**
 * What real kernels did with populated memory, against the model: the recorded physical layout is
 * built, the recorded maps and unmaps are run, and every recorded figure is compared.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { CounterValues } from '@pinfold/base';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { RecordedMachine } from './recorded-machine.ts';
import { readRecording, RECORDINGS } from './recording.ts';

const manifest = z
  .object({
    count: z.number(),
    recordings: z.array(z.object({ file: z.string(), sha256: z.string() })),
  })
  .parse(JSON.parse(readFileSync(new URL('manifest.json', RECORDINGS), 'utf8')));

/** The counters that count the calls of a probed function; put_pfn's unpin differs by kernel. */
function callCounts(kernel: string, counters: CounterValues): Record<string, number> {
  const pageCalls = kernel.startsWith('6.16') ? counters.unpinCalls : 0;
  return {
    vfio_pin_pages_remote: counters.pinPagesRemoteCalls,
    vaddr_get_pfns: counters.gupCalls,
    pin_user_pages_remote: counters.gupCalls,
    __gup_longterm_locked: counters.gupCalls,
    __account_locked_vm: counters.accountingUpdates,
    iommu_map: counters.iommuMapCalls,
    iommu_map_nosync: counters.iommuMapCalls,
    intel_iommu_map_pages: counters.iommuMapPagesCalls,
    iommu_iova_to_phys: counters.iovaToPhysCalls,
    iommu_unmap_fast: counters.iommuUnmapCalls,
    intel_iommu_unmap_pages: counters.iommuUnmapPagesCalls,
    intel_iommu_tlb_sync: counters.iotlbSyncs + counters.iotlbGatherSyncs,
    cache_tag_flush_range: counters.cacheTagFlushes,
    vfio_unpin_pages_remote: counters.unpinPagesRemoteCalls,
    unpin_user_pages_dirty_lock: pageCalls,
    unpin_user_page_range_dirty_lock: counters.unpinCalls - pageCalls,
  };
}

describe('the manifest', () => {
  it('lists every recording, and every one is unchanged', () => {
    const files = readdirSync(RECORDINGS, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.json.gz') && !file.startsWith('node_modules'))
      .sort();
    expect(manifest.recordings.map(({ file }) => file).sort()).toEqual(files);
    expect(manifest.count).toBe(files.length);
    for (const { file, sha256 } of manifest.recordings) {
      const hash = createHash('sha256')
        .update(readFileSync(new URL(file, RECORDINGS)))
        .digest('hex');
      expect(hash, file).toBe(sha256);
    }
  });
});

const POPULATED = /(6.16.12|6.18.15)\/main\/b(06|12|53|54)-/;

describe.each(manifest.recordings.map(({ file }) => file).filter((file) => POPULATED.test(file)))(
  '%s',
  (file) => {
    const recording = readRecording(file);
    const pass = recording.runs.find((run) => run.pass === 'trace');
    if (!pass) throw new Error(`${file}: no trace pass`);
    const machine = new RecordedMachine(recording, pass.start_state.memlock);
    let table = machine.iommuTable();

    for (const step of pass.steps) {
      if (step.op === 'mmap') machine.mmap(step);
      else if (step.op === 'touch') machine.populate(step);
      if (step.iommu) table = step.iommu;
      if (step.op !== 'map' && step.op !== 'unmap') continue;
      const expectedTable = table;
      it(step.line, () => {
        const observed = machine.ioctl(step);
        expect(observed.ret).toBe(step.ret);
        expect(observed.sizeOut).toBe(step.op === 'unmap' ? step.size_out : step.size);
        expect(observed.avail).toBe(step.avail);
        expect(observed.VmLck).toBe(step.mm.VmLck);
        expect(observed.pins).toEqual(step.pins);
        expect(machine.iommuTable()).toMatchObject(expectedTable);
        const calls = callCounts(recording.kernel, observed.counters);
        const recorded = Object.fromEntries(
          Object.keys(calls).map((name) => [name, step.calls?.[name] ?? 0]),
        );
        expect(calls).toEqual(recorded);
      });
    }
  },
);
