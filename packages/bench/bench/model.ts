/**
 * One kernel on one backing, in this process: prints the fastest map and unmap as JSON.
 * Arguments: kernel, backing, size in bytes, repetitions. Used by twin.ts.
 */
import { backing, benchMemDmaMap } from '@pinfold/bench';

const [kernel, name, bytes, repeat] = process.argv.slice(2);
const { rows } = benchMemDmaMap(
  {
    ...{ kernels: [kernel], backings: [backing(name)], layout: 'contiguous' },
    ...{ bytes: Number(bytes), repeat: Number(repeat) },
  },
  { clock: () => performance.now() },
);
const times = rows.map(({ op, modelMs }) => [op, modelMs.min]);
process.stdout.write(JSON.stringify(Object.fromEntries(times)));
