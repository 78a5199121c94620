/**
 * The memory that the model needs: JavaScript heap and array buffers at their largest, sampled
 * around every map and unmap of a bench with both kernels side by side, and what was estimated
 * for it. Each case runs in a Node process of its own.
 *
 *   npm run bench:memory -- [SIZE:BACKING[:LAYOUT] ...]
 */
import { getHeapStatistics } from 'node:v8';
import { parseSize } from '@pinfold/base';
import {
  backing,
  benchMemDmaMap,
  footprint,
  layoutName,
  layoutOf,
  type BenchSpec,
} from '@pinfold/bench';
import { tableText, type Column } from '../src/table.ts';
import { runScript } from './child.ts';

const CASES = ['1T:thp', '64G:4k', '64G:4k:scattered', '1T:hugetlb-1g'];
const KERNELS = ['6.16', '6.18'];
const MIB = 2 ** 20;

/** Bytes that one case needed. */
interface Figures {
  readonly name: string;
  readonly estimate: number;
  readonly heap: number;
  readonly arrayBuffers: number;
  readonly total: number;
  readonly resident: number;
}

function specOf(name: string): BenchSpec {
  const [size, memory, layout = 'contiguous'] = name.split(':');
  const backings = [backing(memory)];
  return {
    ...{ bytes: parseSize(size, name), backings, kernels: KERNELS },
    layout: layoutName(layout),
    repeat: 1,
  };
}

/** Runs a case in this process. */
function measureCase(name: string): Figures {
  const spec = specOf(name);
  const [memory] = spec.backings;
  const layout = layoutOf(memory, spec.layout);
  const largest = { heap: 0, arrayBuffers: 0, total: 0 };
  const clock = (): number => {
    const heap = getHeapStatistics().used_heap_size;
    const { arrayBuffers } = process.memoryUsage();
    largest.heap = Math.max(largest.heap, heap);
    largest.arrayBuffers = Math.max(largest.arrayBuffers, arrayBuffers);
    largest.total = Math.max(largest.total, heap + arrayBuffers);
    return performance.now();
  };
  benchMemDmaMap(spec, { clock });
  const estimate = KERNELS.length * footprint(spec.bytes, memory, layout);
  return { name, estimate, ...largest, resident: process.resourceUsage().maxRSS * 1024 };
}

const mib = (bytes: number): string => (bytes / MIB).toFixed(0);
const columns: readonly Column<Figures>[] = [
  { group: '', heading: 'case', words: true, cell: ({ name }) => name },
  { group: 'MiB', heading: 'estimate', cell: ({ estimate }) => mib(estimate) },
  { group: 'MiB', heading: 'heap', cell: ({ heap }) => mib(heap) },
  { group: 'MiB', heading: 'array buffers', cell: ({ arrayBuffers }) => mib(arrayBuffers) },
  { group: 'MiB', heading: 'heap + buffers', cell: ({ total }) => mib(total) },
  { group: 'MiB', heading: 'resident', cell: ({ resident }) => mib(resident) },
];

const args = process.argv.slice(2);
if (args[0] === '--one') {
  process.stdout.write(JSON.stringify(measureCase(args[1])));
} else {
  const cases = args.length > 0 ? args : CASES;
  const script = new URL(import.meta.url);
  const figures = cases.map((name) => JSON.parse(runScript(script, ['--one', name])) as Figures);
  process.stdout.write(tableText(columns, figures));
}
