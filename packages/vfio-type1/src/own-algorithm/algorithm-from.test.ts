import { InputError, KernelBug } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { Guest, PFN } from '../../test/guest.ts';
import { IOVA, Mdev } from '../../test/mdev.ts';
import template from '../../test/own-algorithm-template.ts';
import { AlgorithmFault } from './algorithm-fault.ts';
import { algorithmFrom } from './algorithm-from.ts';
import type { AlgorithmKernel } from './algorithm-kernel.ts';
import type { OwnAlgorithm, OwnBatch, OwnDma, OwnPinRequest, OwnRun } from './own-algorithm.ts';

const FILE = 'mine.ts';
const nothing = (): void => undefined;

/** A guest of 20 pages whose container has an algorithm of these steps. */
function guest(steps: Partial<OwnAlgorithm>, memlockPages = Infinity): Guest {
  const pinAlgorithm = algorithmFrom({ name: 'mine', ...steps }, FILE);
  return new Guest({ memlockPages, type1: { pinAlgorithm } }).mmap({ npage: 20 });
}

/** What a map and an unmap with these steps throw. */
function faultOf(steps: Partial<OwnAlgorithm>): unknown {
  const made = guest(steps);
  try {
    made.map(100, 20);
    made.unmap(100, 20);
  } catch (error) {
    return error;
  }
  return null;
}

describe('what is exported', () => {
  test.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /^mine\.ts, default export: expected an algorithm/],
    ['a list', [], /got an array$/],
    ['no name', { forget: nothing }, /expected name: .+, got none$/],
    ['an empty name', { name: ' ', forget: nothing }, /expected name: .+, got ' '$/],
    ['no step', { name: 'x' }, /expected at least one of pinChunk, .+, got none of them$/],
    [
      'an unknown field',
      { name: 'x', pin: nothing },
      /expected one of name, .+, got the field 'pin'$/,
    ],
    ['no function', { name: 'x', forget: 1 }, /expected forget: a function, got 1$/],
  ])('%s is refused', (_, own, message) => {
    expect(() => algorithmFrom(own, FILE)).toThrow(InputError);
    expect(() => algorithmFrom(own, FILE)).toThrow(message);
  });

  test('a chunk may be charged less than nothing, where pins share a page', () => {
    const made = guest(
      {
        pinChunk(kernel, dma, vaddr, npage, limit, batch, chunk) {
          expect(kernel.testLimit(dma, -2, 3, 1)).toBe(0);
          expect(kernel.testLimit(dma, -2, 4, 1)).toBeLessThan(0);
          return template.pinChunk(kernel, dma, vaddr, npage, limit, batch, chunk);
        },
      },
      20,
    );
    expect(made.map(100, 20).ret).toBe(0);
  });

  test('steps that are left out are those of batched', () => {
    const { map, unmap } = { map: guest(template), unmap: guest({ forget: nothing }) };
    for (const made of [map, unmap]) {
      expect([made.map(100, 20).ret, made.unmap(100, 20).ret]).toEqual([0, 0]);
      expect([made.mm.lockedVm, made.memory.vmstat.pinsHeld]).toEqual([0, 0]);
    }
    expect(map.memory.counters.snapshot().unpinRangeCalls).toBe(1);
    expect(unmap.memory.counters.snapshot()).toMatchObject({ unpinRangeCalls: 0, unpinCalls: 20 });
  });
});

describe('a step that', () => {
  const run =
    (pfn: unknown, npage: unknown): Required<OwnAlgorithm>['nextUnmapRun'] =>
    (_kernel, _dma, _iovaPn, _npage, into) => {
      Object.assign(into, { pfn, npage });
    };
  test.each<[string, Partial<OwnAlgorithm>, RegExp]>([
    ['returns 0', { pinChunk: () => 0 }, /pinChunk returned 0, expected 1 to 20 pages or a neg/],
    ['returns half a page', { pinChunk: () => 0.5 }, /returned 0\.5/],
    ['returns an errno that there is not', { pinChunk: () => -3000 }, /returned -3000/],
    [
      'sets no frame',
      { pinChunk: (_k, _d, _v, npage, _l, _b, chunk) => (chunk.pinned = npage) },
      /left 0 in chunk\.pfnBase, expected a page frame/,
    ],
    ['unpins too much', { unpinRegion: () => 21 }, /unpinRegion returned 21, expected .+ 0 to 20$/],
    ['unpins by errno', { unpinRegion: () => -12 }, /unpinRegion returned -12/],
    ['finds no run', { nextUnmapRun: nothing }, /nextUnmapRun left nothing in run\.pfn/],
    ['finds a text', { nextUnmapRun: run('1', 1) }, /left '1' in run\.pfn/],
    ['finds an empty run', { nextUnmapRun: run(PFN, 0) }, /left 0 in run\.npage, expected 1 to 20/],
    ['goes beyond the mapping', { nextUnmapRun: run(PFN, 21) }, /left 21 in run\.npage/],
    [
      'looks beyond the batch',
      { pinChunk: (_k, _d, _v, _n, _l, batch) => batch.page(0) },
      /batch\.page: expected an entry below 0, got 0$/,
    ],
    [
      'asks for the pages of no batch',
      { pinChunk: (kernel, dma, vaddr) => kernel.vaddrGetPfns(dma, vaddr, 1, {} as OwnBatch) },
      /vaddrGetPfns: expected a batch, got an object$/,
    ],
    [
      'asks for a negative page',
      { pinChunk: (kernel, dma, _v, _n, _l, batch) => kernel.vaddrGetPfns(dma, -1, 1, batch) },
      /vaddrGetPfns, vaddr: expected a whole number from 0 on, got -1$/,
    ],
    [
      'tests the limit with half a page',
      { pinChunk: (kernel, dma) => kernel.testLimit(dma, -0.5, 1, 9) },
      /testLimit, lockAcct: expected a whole number, got -0\.5$/,
    ],
    [
      'asks for the run of an empty batch',
      { pinChunk: (kernel, _d, _v, _n, _l, batch) => kernel.numPagesContiguous(batch) },
      /numPagesContiguous: the batch is empty$/,
    ],
    [
      'sets hasRsvd to a number',
      { forget: (_k, dma) => Object.assign(dma, { hasRsvd: 1 }) },
      /dma\.hasRsvd: expected true or false, got 1$/,
    ],
    [
      'writes what is not its own',
      { forget: (_k, dma) => Object.assign(dma, { npage: 1 }) },
      /forget throws TypeError: .*npage/,
    ],
    [
      'throws',
      {
        pinChunk(...args: Parameters<typeof template.pinChunk>) {
          template.pinChunk(...args);
          throw new RangeError('no');
        },
      },
      /pinChunk throws RangeError: no$/,
    ],
  ])('%s', (_, steps, message) => {
    const fault = faultOf(steps);
    expect(fault).toBeInstanceOf(AlgorithmFault);
    expect(String(fault)).toMatch(message);
    expect((fault as AlgorithmFault).place).toBe(FILE);
  });

  test('would crash the kernel is a bug of the kernel', () => {
    const unpinRegion: OwnAlgorithm['unpinRegion'] = (kernel, dma, _iovaPn, pfn, npage) => {
      kernel.putPfns(dma, pfn, npage);
      return kernel.putPfns(dma, pfn, npage);
    };
    expect(faultOf({ unpinRegion })).toBeInstanceOf(KernelBug);
  });

  test('calls the kernel again and again is ended, and beats no more', () => {
    const heartbeat = new Int32Array(2);
    const beats: number[] = [];
    const pinChunk: OwnAlgorithm['pinChunk'] = (kernel) => {
      for (;;) {
        try {
          kernel.pfnValid(PFN);
        } catch {
          beats.push(heartbeat[0]);
          if (beats.length === 3) throw new Error('enough');
        }
      }
    };
    const pinAlgorithm = algorithmFrom({ name: 'mine', pinChunk }, FILE, { heartbeat });
    const made = new Guest({ type1: { pinAlgorithm } }).mmap({ npage: 20 });
    expect(() => made.map(100, 20)).toThrow('mine.ts: pinChunk throws Error: enough');
    const calls = 64 * 20 + 4096;
    expect(beats).toEqual([calls + 1, calls + 1, calls + 1]);
    expect([...heartbeat]).toEqual([calls + 1, 0]);
  });

  test('meets a fault of the model hands it on', () => {
    const made = guest(template);
    made.memory.memmap.pageToPfn = () => {
      throw new TypeError('of the model');
    };
    expect(() => made.map(100, 20)).toThrow(TypeError);
  });

  test('keeps the kernel cannot call it later', () => {
    let kept: AlgorithmKernel | null = null;
    const made = guest({ forget: (kernel) => void (kept = kernel) });
    made.map(100, 20);
    made.unmap(100, 20);
    expect(() => kept?.pfnValid(1)).toThrow('the kernel is called outside a step');
  });
});

describe('a place', () => {
  const text = "export default {\n  name: 'mine',\n  async pinChunk() {},\n  'forget': 3,\n};\n";

  test('is the line of the step that returned something', () => {
    const pinAlgorithm = algorithmFrom({ name: 'mine', pinChunk: () => 0 }, FILE, { text });
    const made = new Guest({ type1: { pinAlgorithm } }).mmap({ npage: 20 });
    expect(() => made.map(100, 20)).toThrow(/^mine\.ts:3:9: pinChunk returned 0/);
  });

  test('is the line of a field', () => {
    expect(() => algorithmFrom({ name: 'mine', forget: 3 }, FILE, { text })).toThrow(
      /^mine\.ts:4:3: expected forget/,
    );
  });

  test('is where it throws', () => {
    const pinChunk = (): number => {
      throw new Error('here');
    };
    const pinAlgorithm = algorithmFrom({ name: 'mine', pinChunk }, FILE, { url: import.meta.url });
    const made = new Guest({ type1: { pinAlgorithm } }).mmap({ npage: 20 });
    const named = import.meta.url.replace(/^file:\/\//, '');
    const byName = algorithmFrom({ name: 'mine', pinChunk }, FILE, { url: named });
    const other = new Guest({ type1: { pinAlgorithm: byName } }).mmap({ npage: 20 });
    // The engine writes one or the other.
    const messages = [made, other].map((one) => {
      try {
        return one.map(100, 20).ret;
      } catch (error) {
        return String(error);
      }
    });
    expect(messages).toContainEqual(
      expect.stringMatching(/mine\.ts:\d+:\d+: pinChunk throws Error: here$/),
    );
  });
});

describe('the state of a mapping', () => {
  test('is kept from step to step, and each mapping has its own', () => {
    const seen: unknown[] = [];
    const made = guest({
      unpinRegion(kernel, dma, iovaPn, pfn, npage) {
        seen.push(dma.state);
        dma.state = [iovaPn, npage];
        return kernel.putPfns(dma, pfn, npage);
      },
      forget: (_kernel, dma) => void seen.push(dma.state),
    });
    made.map(100, 10);
    made.map(200, 5);
    made.unmap(100, 10);
    made.unmap(200, 5);
    expect(seen).toEqual([null, [100, 10], null, [200, 5]]);
    expect([made.mm.lockedVm, made.memory.vmstat.pinsHeld]).toEqual([0, 0]);
  });
});

describe('pages and folios', () => {
  test('are those of the memory', () => {
    const seen: unknown[] = [];
    const made = new Guest({
      type1: {
        pinAlgorithm: algorithmFrom(
          {
            name: 'mine',
            unpinRegion(
              kernel: AlgorithmKernel,
              dma: OwnDma,
              _i: number,
              pfn: number,
              npage: number,
            ) {
              const page = kernel.pfnToPage(pfn + 3);
              const folio = kernel.pageFolio(page);
              seen.push(
                kernel.folioNrPages(folio),
                kernel.folioPageIdx(folio, page),
                kernel.folioPage(folio, 3) === page,
                kernel.folioTestHugetlb(folio),
                kernel.pfnValid(pfn),
                kernel.pfnValid(2 ** 40),
              );
              kernel.unpinUserFolioDirtyLocked(folio, npage, (dma.prot & kernel.IOMMU_WRITE) !== 0);
              return npage;
            },
            nextUnmapRun(
              kernel: AlgorithmKernel,
              _d: OwnDma,
              at: number,
              npage: number,
              run: OwnRun,
            ) {
              run.pfn = kernel.iovaToPhys(at);
              run.npage = npage;
            },
          },
          FILE,
        ),
      },
    }).mmap({ npage: 16, order: 4 });
    const counts = made.counted(() => {
      expect([made.map(100, 16).ret, made.unmap(100, 16).ret]).toEqual([0, 0]);
    });
    expect(seen).toEqual([16, 3, true, false, true, false]);
    expect(counts).toMatchObject({ folioLookups: 1, hugetlbTests: 1, iovaToPhysCalls: 1 });
    expect([made.mm.lockedVm, made.memory.vmstat.pinsHeld]).toEqual([0, 0]);
  });
});

/** vfio_iommu_type1_pin_pages in the words of the interface. */
function pinExternal(kernel: AlgorithmKernel, request: OwnPinRequest): number {
  for (let i = 0; i < request.npage; i++) {
    const dma = kernel.dmaToPin(request, i);
    if (typeof dma === 'number') return kernel.unwindExternal(request, i, dma);
    if (kernel.takeKnownPage(dma, request, i)) continue;
    const ret = kernel.pinNewPage(dma, request, i);
    if (ret < 0) return kernel.unwindExternal(request, i, ret);
  }
  return request.npage;
}

describe('external pins', () => {
  test.each([Infinity, 3])(
    'in own words are those of 6.16, with %d pages allowed',
    (memlockPages) => {
      const own = algorithmFrom({ name: 'mine', pinExternal }, FILE);
      const built = algorithmFrom({ name: 'built', forget: nothing }, FILE);
      const [mine, theirs] = [own, built].map((pinAlgorithm) =>
        new Mdev({ memlockPages, type1: { pinAlgorithm } }).map(),
      );
      for (const made of [mine, theirs]) made.pin(IOVA, 2);
      for (const npage of [4, 1, 30])
        expect(mine.pin(IOVA + 1, npage)).toBe(theirs.pin(IOVA + 1, npage));
      expect([mine.held, mine.nodes]).toEqual([theirs.held, theirs.nodes]);
      expect(mine.memory.counters.snapshot()).toEqual(theirs.memory.counters.snapshot());
    },
  );

  test('by one GUP call for all', () => {
    const made = new Mdev({
      type1: {
        pinAlgorithm: algorithmFrom(
          {
            name: 'ranges',
            pinExternal(kernel: AlgorithmKernel, request: OwnPinRequest) {
              const dma = kernel.dmaToPin(request, 0);
              if (typeof dma === 'number') return dma;
              const batch = kernel.makeBatch(request.npage);
              const vaddr = request.iovaPn(0) - dma.iovaPn + dma.vaddr;
              const got = kernel.vaddrGetPfns(dma, vaddr, request.npage, batch);
              for (let i = 0; i < got; i++) kernel.addToPfnList(dma, request, i, batch.page(i));
              const ret = request.doAccounting ? kernel.lockAcct(dma, got, false) : 0;
              return ret < 0 ? ret : got;
            },
          },
          FILE,
        ),
      },
    }).map();
    expect(made.pin(IOVA, 5)).toBe(5);
    expect(made.held).toEqual([5, 5]);
    expect(made.memory.counters.snapshot()).toMatchObject({ gupCalls: 1, vpfnAllocs: 5 });
    made.unpin(IOVA, 5);
    expect(made.held).toEqual([0, 0]);
  });

  test('that are said to be made and are not', () => {
    const type1 = {
      pinAlgorithm: algorithmFrom(
        { name: 'lazy', pinExternal: (_k: unknown, { npage }: OwnPinRequest) => npage },
        FILE,
      ),
    };
    const made = new Mdev({ type1 }).map();
    expect(() => made.pin(IOVA, 2)).toThrow(
      'mine.ts: pinExternal returned 2, but page 0 is not pinned',
    );
  });

  test('inside a mapping are not charged twice', () => {
    const made = new Mdev({ type1: { pinAlgorithm: algorithmFrom(template, FILE) } }).map();
    made.pin(IOVA + 2, 3);
    made.container.addGroup(made.nic);
    expect(made.held).toEqual([16 + 3, 16]);
  });
});
