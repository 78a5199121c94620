/** The model as the machine of a recorded pass: its facts, its frames. */
import { pageNumber, pagesOf, X86_64, type Pfn, type Vpn } from '@pinfold/base';
import {
  buddyAllocator,
  BUILDS,
  type Build,
  ModelMachine,
  type ModelMachineOptions,
  ProbeLines,
  type Probes,
  ProbedMachine,
} from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import type { MemoryRange } from '@pinfold/mm';
import {
  evaluate,
  parseExpression,
  type Region,
  type Machine,
  type LayoutExtent,
} from '@pinfold/scenario';
import type { RecordedMachine, RecordedMachineOptions } from '../conformance.ts';
import { factsOfRecording } from '../recording/recorded-facts.ts';
import { tableFrames, type TableFrames } from './recorded-iommu-frames.ts';
import { RecordedFrames, type RecordedRegion } from './recorded-frames.ts';
import type { RecordedPass, Recording } from '../recording/recording.ts';
import { ScatteredFrames } from './scattered-frames.ts';
import { walkPass } from '../recording/walk-pass.ts';

/** Operations that show where a region lies. */
const MAPS: ReadonlySet<string> = new Set(['mmap', 'mremap']);
const NO_FRAMES: TableFrames = { memory: [], files: [] };
/** Pages of the largest block of the buddy allocator. */
const BLOCK = 2 ** X86_64.maxPageOrder;
/** Operations that show bytes of the memory. */
const READS_BYTES: ReadonlySet<string> = new Set(['peek', 'dmarw']);

/**
 * Makes a model machine for a pass of a recording. Where the pass shows layouts, pages get the
 * frames and orders that the kernel gave them; else they get scattered ones.
 *
 * @param recording the recording: its kernel and its machine's facts
 * @param pass the pass
 * @param options whether its steps have to show their calls; default: no
 * @returns the machine; it must be told before each step which one comes
 * @throws {InputError} when the kernel's series is not modelled, or a fact cannot be understood
 * @source recordings README, "Recording format"
 */
export function modelMachineForPass(
  recording: Recording,
  pass: RecordedPass,
  options: RecordedMachineOptions = { trace: false },
): RecordedMachine {
  const probes = options.trace ? recording.guest.probes : null;
  const kernel = kernelVersion(recording.kernel);
  const facts = factsOfRecording(recording, recording.scenario);
  const keepsBytes = pass.steps.some(({ op }) => READS_BYTES.has(op));
  if (!pass.steps.some(({ layout }) => layout !== undefined)) {
    const frames = new ScatteredFrames(buddyAllocator(facts));
    return {
      machine: makeMachine({ kernel, facts, keepsBytes, frames }, probes, recording),
      beforeStep: () => undefined,
    };
  }
  const unseen = buddyAllocator(facts, {}, unseenMemory(facts.memory, pass));
  const layouts = layoutsOf(pass);
  const tables = tableFrames(pass);
  const ofTables = tables.map(({ files }) => files.map(({ vpn, extents }) => ofFile(vpn, extents)));
  const files = filePages([...layouts, ...ofTables], mappedFiles(pass));
  const frames = new RecordedFrames(files, unseen);
  const childFrames = new RecordedFrames([], unseen);
  return {
    machine: makeMachine(
      { kernel, facts, keepsBytes, frames, childFrames, readsSmaps: showsSmaps(pass) },
      probes,
      recording,
    ),
    beforeStep: (index) => {
      const { memory } = tables.at(index) ?? NO_FRAMES;
      frames.setLayout([...(layouts[index] ?? []), ...memory]);
      // Other children copy at fork what is pinned, which nobody sees.
      const maps = pass.steps[index]?.line.startsWith('child ioas_map ');
      childFrames.setLayout(maps ? memory : []);
    },
  };
}

/** Frames that an IOMMU table shows of a file, as a layout would. */
function ofFile(vpn: Vpn, extents: readonly LayoutExtent[]): RecordedRegion {
  const flagged = extents.map(([off, pfn, n, order]): LayoutExtent => [off, pfn, n, order, 'f']);
  return { vpn, extents: flagged };
}

/** The model, seen through the probes of a recording if there are any. */
function makeMachine(
  options: ModelMachineOptions,
  probes: Probes | null,
  { release }: Recording,
): Machine {
  if (!probes) return new ModelMachine(options);
  const tracer = new ProbeLines(probes, buildOf(release));
  return new ProbedMachine(new ModelMachine({ ...options, tracer }), tracer);
}

/** The build of the recorded kernel, by what `uname -r` says. */
function buildOf(release: string): Build {
  if (release.includes('arm64')) return BUILDS.arm64;
  if (release.startsWith('5.10.')) return BUILDS['x86-5.10'];
  return release.endsWith('-iofd') ? BUILDS.iofd : BUILDS.x86;
}

/** A region that maps a file. */
interface MappedRegion {
  readonly vpn: Vpn;
  /** Its length in pages. */
  readonly npage: number;
  /** First page of the file that it maps. */
  readonly pgoff: number;
  /** The file: its path, or the region whose memfd it is. */
  readonly file: string;
}

/** The regions of files and memfds, also where they have moved. */
function mappedFiles({ steps }: RecordedPass): MappedRegion[] {
  const files = new Map<string, string>();
  const places = new Map<string, Region>();
  const mapped: (MappedRegion & Region)[] = [];
  for (const { op, line, va: shownVa, size: shownSize } of steps) {
    if (!MAPS.has(op) || shownVa === undefined || shownSize === undefined) continue;
    const argument = (key: string): string => new RegExp(`\\b${key}=(\\S+)`).exec(line)?.[1] ?? '';
    const valueOf = (key: string): bigint =>
      evaluate(parseExpression(argument(key) || '0', line), places, line);
    const [va, size] = [BigInt(shownVa), BigInt(shownSize)];
    const place = { vpn: pageNumber(va), npage: pageNumber(size + 4095n), va, size };
    const [name, of] = [argument('name'), argument('of')];
    if (op === 'mmap') {
      const file = files.get(of) ?? (argument('path') || name);
      mapped.push({ ...place, pgoff: pageNumber(valueOf('off')), file });
    } else {
      const from = valueOf('va');
      const old = mapped.findLast((other) => from >= other.va && from < other.va + other.size);
      if (old === undefined) continue;
      const pgoff = old.pgoff + pageNumber(from - old.va);
      mapped.push({ ...place, pgoff, file: old.file });
    }
    if (name === '') continue;
    files.set(name, mapped.at(-1)?.file ?? name);
    places.set(name, { va, size });
  }
  return mapped;
}

/** The pages of files that any layout shows, where they were first seen, in every region of the file. */
function filePages(
  layouts: readonly (readonly RecordedRegion[])[],
  mapped: readonly MappedRegion[],
): RecordedRegion[] {
  const files = new Map<string, Map<number, LayoutExtent>>();
  for (const layout of new Set(layouts)) {
    for (const { vpn, extents } of layout) {
      const { file, pgoff } = placeOf(mapped, vpn);
      const pages = files.get(file) ?? new Map<number, LayoutExtent>();
      files.set(file, pages);
      for (const [off, pfn, n, order, flags] of extents.filter(isFilePage)) {
        // A folio that is seen in part lies in the cache as a whole.
        const folio = pagesOf(order);
        const end = pfn + n + ((folio - ((pfn + n) % folio)) % folio) - pfn;
        for (let i = -(pfn % folio); i < end; i++) {
          const at = pgoff + off + i;
          if (!pages.has(at)) pages.set(at, [at, pfn + i, 1, order, flags]);
        }
      }
    }
  }
  return mapped.map(({ vpn, pgoff, file }) => ({
    vpn,
    extents: [...(files.get(file)?.values() ?? [])]
      .map(([at, ...page]): LayoutExtent => [at - pgoff, ...page])
      .sort(([a], [b]) => a - b),
  }));
}

/** The file that is mapped at a page, and which page of it. */
function placeOf(
  mapped: readonly MappedRegion[],
  vpn: Vpn,
): { readonly file: string; readonly pgoff: number } {
  const region = mapped.findLast((each) => vpn >= each.vpn && vpn < each.vpn + each.npage);
  if (!region) return { file: String(vpn), pgoff: 0 };
  return { file: region.file, pgoff: region.pgoff + (vpn - region.vpn) };
}

function isFilePage([, , , , flags]: LayoutExtent): boolean {
  return flags.includes('f') && !flags.includes('z');
}

/** The memory in whose 4 MiB blocks no recorded frame lies. */
function unseenMemory(memory: readonly MemoryRange[], pass: RecordedPass): MemoryRange[] {
  const seen = seenBlocks(pass);
  return memory.flatMap(({ pfn, npage }) => {
    const end = pfn + npage;
    const inside = seen.filter((run) => run.start < end && run.end > pfn);
    const starts = [pfn, ...inside.map((run) => run.end)];
    const ends = [...inside.map((run) => run.start), end];
    return starts
      .map((start, i) => ({ pfn: start, npage: ends[i] - start }))
      .filter((range) => range.npage > 0);
  });
}

/** The 4 MiB blocks with recorded frames, as runs in the order of their frames. */
function seenBlocks({ steps }: RecordedPass): { start: Pfn; end: Pfn }[] {
  const extents = steps.flatMap(({ layout }) => Object.values(layout ?? {}).flat());
  const blocks = extents.map(([, pfn, n]) => ({
    start: pfn - (pfn % BLOCK),
    end: Math.ceil((pfn + n) / BLOCK) * BLOCK,
  }));
  const runs: { start: Pfn; end: Pfn }[] = [];
  for (const { start, end } of blocks.sort((a, b) => a.start - b.start)) {
    const last = runs.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else runs.push({ start, end });
  }
  return runs;
}

/** Whether the recording program read smaps_rollup after each step: its fields are there. */
function showsSmaps(pass: RecordedPass): boolean {
  return pass.steps.some(({ mm }) => 'AnonHugePages' in mm);
}

/** The layout of all regions after each step. */
function layoutsOf(pass: RecordedPass): (readonly RecordedRegion[])[] {
  const places = new Map<string, bigint>();
  let last: RecordedRegion[] = [];
  return walkPass(pass).map(({ shown, layout }) => {
    const name = MAPS.has(shown.op) ? /\bname=(\S+)/.exec(shown.line)?.[1] : undefined;
    if (name !== undefined && shown.va !== undefined) places.set(name, BigInt(shown.va));
    if (shown.layout === undefined) return last;
    last = [...layout].flatMap(([region, extents]) => {
      const va = places.get(region);
      return va === undefined ? [] : [{ vpn: pageNumber(va), extents }];
    });
    return last;
  });
}
