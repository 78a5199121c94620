/** The audit of pin algorithms: every invariant fails where it is broken, and nothing else does. */
import { Errno, ModelBug } from '@pinfold/base';
import { ModelMachine, parseScenario, iommusOf } from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import { PG, type Memory } from '@pinfold/mm';
import type { DirtyBitmap } from '@pinfold/scenario';
import { AlgorithmFault, pinAlgorithm, type PinAlgorithm } from '@pinfold/vfio-type1';
import { describe, expect, it } from 'vitest';
import {
  auditScenario,
  checkedOf,
  INVARIANTS,
  type Grade,
  type Invariant,
  type SequenceOutcome,
} from '../src/index.ts';
import { DirtyLog } from '../src/audit/dirty-log.ts';
import {
  BIT_BELOW,
  isRecorded,
  LIMIT_FIRST,
  LIMIT_IGNORED,
  LOST_CHARGE,
  OVERCHARGE,
  PIN_BELOW,
} from '../src/audit/known-quirks.ts';

const PFN = 0x8000;
const MAP = `open type=v2
mmap name=A kind=anon size=4P addr=0x4000000000 frames=0x8000x4
map iova=0x40000000 va=A size=4P
`;
const READ_ONLY = MAP.replace('map iova', 'map flags=r iova');
const UNMAP = 'unmap iova=0x40000000 size=4P\n';
const batched = pinAlgorithm('batched');

/** Runs a scenario with `batched`, of which some steps are others. */
function audit(steps: Partial<PinAlgorithm>, text: string): SequenceOutcome {
  const algorithm = { ...batched, ...steps };
  return auditScenario(checkedOf({ algorithm }), parseScenario(text, 'audit.scn'));
}

/** Runs a scenario with an algorithm on a release. */
function auditOf(name: string, kernel: string, text: string): SequenceOutcome {
  const checked = checkedOf({ algorithm: pinAlgorithm(name), kernel: kernelVersion(kernel) });
  return auditScenario(checked, parseScenario(text, 'audit.scn'));
}

/** `batched`, and something that happens after each chunk that it pins. */
function afterPin(act: (memory: Memory, dma: Parameters<PinAlgorithm['pinChunk']>[1]) => void) {
  const steps: Partial<PinAlgorithm> = {
    pinChunk(iommu, dma, vaddr, npage, limit, batch, chunk) {
      const ret = batched.pinChunk(iommu, dma, vaddr, npage, limit, batch, chunk);
      act(iommu.memory, dma);
      return ret;
    },
  };
  return steps;
}

/** `batched`, and something that happens after each region that it unpins. */
function afterUnpin(act: (...args: Parameters<PinAlgorithm['unpinRegion']>) => void) {
  const steps: Partial<PinAlgorithm> = {
    unpinRegion(...args) {
      const ret = batched.unpinRegion(...args);
      act(...args);
      return ret;
    },
  };
  return steps;
}

const BROKEN: readonly [Invariant, string, Partial<PinAlgorithm>, string, Grade][] = [
  [
    'crash',
    'gup_put_folio',
    afterUnpin((...args) => batched.unpinRegion(...args)),
    'pfn 32768 holds fewer than 1 pins',
    'corruption',
  ],
  [
    'model',
    'a bug of the model',
    afterPin(() => {
      throw new ModelBug('impossible');
    }),
    'ModelBug: impossible',
    'corruption',
  ],
  [
    'reach',
    'another frame',
    {
      pinChunk(iommu, dma, vaddr, npage, limit, batch, chunk) {
        const ret = batched.pinChunk(iommu, dma, vaddr, npage, limit, batch, chunk);
        chunk.pfnBase++;
        return ret;
      },
    },
    'the device reaches frame 0x8001 at iova 0x40000000 (page 0 of the mapping), where frame 0x8000 is there',
    'corruption',
  ],
  [
    'order',
    'an unpin before the unmap',
    {
      nextUnmapRun(iommu, dma, iovaPn, npage, run) {
        batched.nextUnmapRun(iommu, dma, iovaPn, npage, run);
        batched.unpinRegion(iommu, dma, iovaPn, run.pfn, run.npage, false);
      },
    },
    '4 pages are unpinned before it is unmapped',
    'corruption',
  ],
  [
    'order',
    'an unpin behind the region',
    {
      nextUnmapRun(iommu, dma, iovaPn, _npage, run) {
        batched.nextUnmapRun(iommu, dma, iovaPn, 2, run);
      },
      unpinRegion(iommu, dma, iovaPn, pfn, npage, doAccounting) {
        return batched.unpinRegion(iommu, dma, iovaPn, pfn, npage + 1, doAccounting);
      },
    },
    '1 pages are unpinned behind the region that was flushed',
    'corruption',
  ],
  [
    'scan',
    'a run beyond the mapping',
    {
      nextUnmapRun(iommu, dma, iovaPn, npage, run) {
        batched.nextUnmapRun(iommu, dma, iovaPn, npage, run);
        run.npage += 2;
      },
    },
    'the unmap of 6 pages at iova 0x40000000 goes 2 pages beyond the mapping',
    'corruption',
  ],
  [
    'scan',
    'a run of other frames',
    {
      nextUnmapRun(iommu, dma, iovaPn, npage, run) {
        batched.nextUnmapRun(iommu, dma, iovaPn, npage, run);
        run.pfn += 4;
      },
    },
    'the unmap at iova 0x40000000 takes 4 pages for contiguous, but page 0 is frame 0x8000, not 0x8004',
    'corruption',
  ],
  [
    'pins',
    'a pin too many',
    afterPin(({ memmap }) => (memmap.refcount[memmap.headEntryOf(PFN)] += 1024)),
    'folio 0x8000 of order 0 (page 0 of the mapping at iova 0x40000000) has 1 leaked pin',
    'leak',
  ],
  [
    'pins',
    'a pin that nobody counts',
    afterPin(({ vmstat }) => vmstat.nrFollPinAcquired++),
    '1 pins too many are held: no mapping and no device has them',
    'leak',
  ],
  [
    'folio',
    'a reference too many',
    afterPin(({ memmap }) => memmap.refcount[memmap.headEntryOf(PFN)]++),
    'folio 0x8000 of order 0 (page 0 of the mapping at iova 0x40000000) has 1 references too many',
    'leak',
  ],
  [
    'charge',
    'a mapping charged too much',
    afterPin((_memory, dma) => (dma.lockedVm += 2)),
    'the mapping at iova 0x40000000 is charged 2 pages too many',
    'accounting',
  ],
  [
    'charge',
    'a process charged too little',
    afterPin((_memory, dma) => dma.mm.lockedVm--),
    'the process is charged 1 page too few, which no mapping has',
    'accounting',
  ],
  [
    'dirty',
    'a page that was written and is clean',
    afterUnpin(({ memory: { memmap } }) => (memmap.flags[memmap.headEntryOf(PFN)] &= ~PG.dirty)),
    'frame 0x8000 (page 0 of the mapping at iova 0x40000000) is clean, though the device could write it',
    'corruption',
  ],
  [
    'warning',
    'a warning',
    afterPin((memory) => {
      memory.warnOn('vfio_pin_pages_remote', 'strange');
    }),
    'vfio_pin_pages_remote: strange',
    'accounting',
  ],
  [
    'equal',
    'another result',
    { pinChunk: () => -Errno.EINVAL },
    'the step returns -EINVAL, in the reference 0',
    'result',
  ],
  [
    'step',
    'a step that returns nonsense',
    {
      pinChunk() {
        throw new AlgorithmFault('a.ts:3:1', 'pinChunk returned 0');
      },
    },
    'a.ts:3:1: pinChunk returned 0',
    'corruption',
  ],
];

describe('the audit finds', () => {
  it.each(BROKEN)('%s violated: %s', (invariant, _case, steps, what, grade) => {
    const { found } = audit(steps, MAP + UNMAP);
    expect(found).toMatchObject({ invariant, grade, known: null });
    expect(found?.what).toContain(what);
  });

  it('equal violated: leaves of other sizes, unless they are waived', () => {
    const text = MAP.replaceAll('size=4P', 'size=512P').replace('0x8000x4', '0x8000x512:9');
    const singlePages: PinAlgorithm = {
      ...batched,
      pinChunk(iommu, dma, vaddr, _npage, ...rest) {
        return batched.pinChunk(iommu, dma, vaddr, 1, ...rest);
      },
    };
    const run = (allow: Grade[]): SequenceOutcome =>
      auditScenario(
        checkedOf({ algorithm: singlePages, allow }),
        parseScenario(text, 'leaves.scn'),
      );
    const violated = {
      ...{ invariant: 'equal', grade: 'leaves', known: null },
      what: 'domain 0: the next leaves are 0x40000000=0x8000:0 * 512 prot 3, in the reference 0x40000000=0x8000:9 * 1 prot 3',
    };
    expect(run([])).toEqual({ found: violated, at: 2, known: [], waived: [] });
    expect(run(['leaves'])).toEqual({ found: null, at: 3, known: [], waived: [violated] });
  });

  it('end violated: pins that are left', () => {
    const { found, at } = audit({ unpinRegion: (...[, , , , npage]) => npage }, READ_ONLY);
    expect(found).toMatchObject({ invariant: 'end', what: '4 pins are left' });
    expect(at).toBe(3);
  });

  it('end violated: a folio that is left', () => {
    const leak = afterUnpin(({ memory: { memmap } }) => memmap.refcount[memmap.headEntryOf(PFN)]++);
    const { found } = audit(leak, MAP);
    expect(found).toMatchObject({ invariant: 'end' });
    expect(found?.what).toBe('folio 0x8000:0 is left with 1 references');
  });

  it('dirty violated: a bit of a page that nobody has had', () => {
    const machine = new ModelMachine({ kernel: kernelVersion('6.16') });
    const text = `open type=v2 dev=ext0
device dev=ext0
mmap name=A kind=anon size=4P addr=0x4000000000 flags=populate
map iova=0x40000000 va=A size=4P
dirty what=start
pin iova=0x40001000
dirty what=get iova=0x40000000 size=4P
`;
    const log = new DirtyLog();
    const regions = new Map([['A', { va: 0x4000000000n, size: 0x4000n }]]);
    const reports: unknown[] = [];
    for (const step of parseScenario(text, 'dirty.scn').steps) {
      const operation = step.evaluate(regions);
      const { code, bitmap } = machine.apply(operation);
      const [iommu] = iommusOf(machine.inspect());
      const wrong: DirtyBitmap | undefined = bitmap && { ...bitmap, runs: [[1, 2]] };
      reports.push(log.step(operation, code, wrong, iommu)?.what ?? null);
    }
    const what = 'iova 0x40002000 is reported dirty, which no device has had';
    expect(reports).toEqual([null, null, null, null, null, null, what]);
  });

  it('each invariant in a test here', () => {
    const tested = new Set<string>([...BROKEN.map(([invariant]) => invariant), 'end']);
    expect([...tested].sort()).toEqual(Object.keys(INVARIANTS).sort());
  });

  it.each(['batched', 'page-at-a-time', 'extent'])('nothing in %s', (name) => {
    const outcome = auditOf(name, '6.16', MAP + UNMAP);
    expect(outcome).toEqual({ found: null, at: 4, known: [], waived: [] });
  });
});

/** What devices pin at addresses inside pages, before a group attaches. */
const PINNED_INSIDE = `open type=v2 dev=ext0
device dev=ext0
mmap name=A kind=anon size=4P addr=0x4000000000 frames=0x8000x4
map iova=0x40000000 va=A+1P size=3P
`;
const ABOVE_APERTURE = 'map iova=0x1000000000000 va=A size=1P\n';

describe('the audit tells as known', () => {
  it.each([
    ['batched', '6.16', 'pin iova=0x40000800\naddgroup dev=edu\n', OVERCHARGE, true],
    ['batched', '6.16', 'pin iova=0x3ffff800\naddgroup dev=edu\n', PIN_BELOW, false],
    ['series-1-4', '7.2', 'pin iova=0x3ffff800\naddgroup dev=edu\n', PIN_BELOW, false],
    [
      'series-1-compare',
      '6.16',
      `pin iova=0x40000800\n${ABOVE_APERTURE}addgroup dev=edu\n`,
      LOST_CHARGE,
      false,
    ],
  ])('in %s on %s: %j', (name, kernel, steps, rule, recorded) => {
    const { found, known } = auditOf(name, kernel, PINNED_INSIDE + steps);
    expect(found).toBeNull();
    expect(known.map(({ invariant, known: why }) => [invariant, why])).toEqual([['charge', rule]]);
    expect(isRecorded(rule)).toBe(recorded);
  });

  it.each([
    ['batched', '6.16', ''],
    ['batched', '6.16', 'delgroup dev=edu\nunpin iova=0xfffff n=2\n'],
    ['series-1-4', '7.2', 'delgroup dev=edu\nunpin iova=0xfffff n=2\n'],
  ])('a limit that nobody looks at, in %s on %s: %j', (name, kernel, steps) => {
    const { found, known } = auditOf(
      name,
      kernel,
      `open type=v2
addext
mmap name=A kind=anon size=2P addr=0x4000000000 frames=0x8000x2
dropcap
memlock bytes=1P
map iova=0x100000 va=A+1P size=1P
pin iova=0xfffff n=2
${steps}`,
    );
    expect(found).toBeNull();
    expect(known.map(({ known: why }) => why)).toEqual([LIMIT_IGNORED]);
    expect(isRecorded(LIMIT_IGNORED)).toBe(false);
  });

  it.each([
    ['batched', '6.16', 'dirty what=start\npin iova=0x3ffff800\n'],
    ['series-1-4', '7.2', 'pin iova=0x3fffffff\ndirty what=start\n'],
  ])('a bit before the bitmap, in %s on %s: %j', (name, kernel, steps) => {
    const { found, known } = auditOf(name, kernel, PINNED_INSIDE + steps);
    expect(found).toBeNull();
    expect(known.map(({ invariant, known: why }) => [invariant, why])).toEqual([
      ['crash', BIT_BELOW],
    ]);
    expect(isRecorded(BIT_BELOW)).toBe(false);
  });

  it.each([
    ['batched', '7.2', 1],
    ['series-1-compare', '6.18', -1],
  ])('nothing of it in %s on %s, which looks pins up by range', (name, kernel, more) => {
    const steps = `pin iova=0x40000800\n${more < 0 ? ABOVE_APERTURE : ''}addgroup dev=edu\n`;
    const { found } = auditOf(name, kernel, PINNED_INSIDE + steps);
    const what = `the mapping at iova 0x40000000 is charged 1 page too ${more > 0 ? 'many' : 'few'}`;
    expect(found).toEqual({ invariant: 'charge', grade: 'accounting', known: null, what });
  });
});

describe('an errno is that of the reference', () => {
  const BEYOND = `open type=v2
mmap name=A kind=anon size=1P addr=0x4000000000 prot=r
dropcap
memlock bytes=0P
map iova=0x0 va=A size=1P
`;

  it('unless an algorithm says that it tests the limit first', () => {
    const testsFirst: Partial<PinAlgorithm> = {
      pinChunk: (iommu) => iommu.fail(Errno.ENOMEM, 'vfio_pin_pages_remote', { limitPages: 0 }),
    };
    expect(audit(testsFirst, BEYOND).found).toEqual({
      ...{ invariant: 'equal', grade: 'errno', known: null },
      what: 'the step returns -ENOMEM, in the reference -EFAULT',
    });
    const { found, known } = audit({ ...testsFirst, limitFirst: true }, BEYOND);
    expect(found).toBeNull();
    expect(known.map(({ known: why }) => why)).toEqual([LIMIT_FIRST]);
  });

  it('also where both refuse for another reason than the limit', () => {
    const other: Partial<PinAlgorithm> = { pinChunk: () => -Errno.EINVAL, limitFirst: true };
    expect(audit(other, BEYOND).found?.what).toBe(
      'the step returns -EINVAL, in the reference -EFAULT',
    );
  });
});

describe('no difference is', () => {
  it.each(['page-at-a-time', 'page-list', 'extent'])(
    'what a map of %s has faulted in before it was refused, and what follows from that',
    (name) => {
      const text = `open type=v2
mmap name=A kind=anon size=64P addr=0x4000000000
mmap name=B kind=anon size=64P addr=0x4100000000
dropcap
memlock bytes=20P
map iova=0x40000000 va=A size=64P
map iova=0x40000000 va=B size=16P
unmap iova=0x40000000 size=16P
`;
      expect(auditOf(name, '6.16', text)).toEqual({ found: null, at: 8, known: [], waived: [] });
    },
  );

  it('which of two reasons a map is refused for, the limit being one', () => {
    const text = `open type=v2
mmap name=A kind=anon size=1P addr=0x4000000000 prot=r
dropcap
memlock bytes=0P
map iova=0x0 va=A size=1P
`;
    const { found, known } = auditOf('page-list', '6.16', text);
    expect(found).toBeNull();
    expect(known.map(({ known: why }) => why)).toEqual([LIMIT_FIRST]);
    const refused: Partial<PinAlgorithm> = { pinChunk: () => -Errno.ENOMEM };
    expect(audit(refused, text).found).toMatchObject({ invariant: 'equal' });
  });
});
