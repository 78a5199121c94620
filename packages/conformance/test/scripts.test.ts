/**
 * Every script of every recording is read, and what its steps evaluate to is what the recorded
 * program asked the kernel for, defaults included.
 */
import { RegionAddresses, type Operation } from '@pinfold/guest';
import type { Region } from '@pinfold/scenario';
import { describe, expect, it } from 'vitest';
import { recordedScenario, type RecordedStep } from '../src/index.ts';
import { manifest, read } from './files.ts';

const FIELDS = [
  ...(['iova', 'va', 'size', 'flags', 'argsz'] as const),
  ...(['dev', 'npage', 'prot', 'times', 'len', 'write', 'iovas'] as const),
] as const;
const kernels = [...new Set(manifest.recordings.map(({ file }) => file.split('/')[0]))];

function shown(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value === 'boolean') return value ? 1 : 0;
  return typeof value === 'bigint' ? `0x${value.toString(16)}` : value;
}

/** The fields of a step that are arguments, as evaluated. */
function evaluated(
  operation: Operation,
  addresses: RegionAddresses,
  recorded: RecordedStep,
): Record<string, unknown> {
  if (operation.op === 'child') return evaluated(operation.does, addresses, recorded);
  if (operation.op === 'pin' || operation.op === 'unpin') {
    return { ...operation, npage: operation.n };
  }
  // What is shown of an mremap is where the memory lies afterwards.
  if (operation.op === 'mremap') return { va: operation.to, size: operation.newsize };
  // What is shown of these besides is where the process has the file.
  if (operation.op === 'ioas_map_file') return { ...operation, va: recorded.va };
  // Where a mapping was made last, the run knows alone.
  if (operation.op === 'ioas_unmap' && operation.iova === 'last') {
    return { ...operation, iova: recorded.iova };
  }
  if (operation.op !== 'mmap') return { ...operation };
  const { addr, size } = operation;
  // An mmap that fails takes no address.
  if (recorded.ret !== 0) return { va: addr ?? addresses.next, size };
  return { va: addr ?? addresses.place(size), size };
}

describe.each(kernels)('%s', (kernel) => {
  const files = manifest.recordings.filter(({ file }) => file.startsWith(`${kernel}/`));

  it('asks for what was recorded', async () => {
    let steps = 0;
    for (const { file } of files) {
      const recording = await read(file);
      const scenario = recordedScenario(recording, file);
      expect(scenario.title).toBe(recording.title);
      for (const pass of recording.runs) {
        const regions = new Map<string, Region>();
        const addresses = new RegionAddresses();
        pass.steps.forEach((recorded, index) => {
          const step = scenario.steps[index];
          const operation = step.evaluate(regions);
          const values = evaluated(operation, addresses, recorded);
          for (const name of FIELDS) {
            if (recorded[name] === undefined) continue;
            expect(shown(values[name]), `${file}: ${recorded.line}: ${name}`).toEqual(
              recorded[name],
            );
          }
          const name = step.newRegion;
          if (name !== undefined) regions.set(name, regionOf(recorded));
          steps++;
        });
      }
    }
    expect(steps).toBeGreaterThan(1000);
  });
});

function regionOf({ va = '', size = '' }: RecordedStep): Region {
  return { va: BigInt(va), size: BigInt(size) };
}
