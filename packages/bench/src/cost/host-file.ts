/** A host with several guests, as a YAML or JSON file states it. */
import { InputError, parseSize } from '@pinfold/base';
import { parse, YAMLParseError } from 'yaml';
import * as z from 'zod';
import { backing } from '../backings.ts';
import type { EstimatedHost, EstimatedVm } from './estimate.ts';
import { parseHistogram, type RunHistogram } from './histogram.ts';

const size = z.union([z.string(), z.number().positive()]);

const vmSchema = z.strictObject({
  name: z.string().min(1).optional(),
  memory: size,
  backing: z.string().default('4k'),
  layout: z.union([z.string().min(1), z.record(z.string(), z.number().int().min(0))]).optional(),
  populated: z.boolean().default(false),
  'prealloc-threads': z.number().int().min(0).max(4096).default(0),
  containers: z.number().int().min(1).max(4096).default(1),
  bars: z.array(size).default([]),
});

const hostSchema = z.strictObject({
  iommu: z.string().optional(),
  kernels: z.array(z.string()).min(1).optional(),
  profile: z.string().optional(),
  hvo: z.boolean().default(false),
  memlock: z.union([size, z.literal('unlimited')]).default('unlimited'),
  'cap-ipc-lock': z.boolean().default(false),
  'entry-limit': z.number().int().positive().default(65535),
  vms: z.array(vmSchema).min(1),
});

/** What a host file states. */
export interface HostFile {
  /** Kind of the IOMMU; undefined: not stated. */
  readonly iommu: string | undefined;
  /** Kernels; undefined: not stated. */
  readonly kernels: readonly string[] | undefined;
  /** Profile; undefined: not stated. */
  readonly profile: string | undefined;
  /** All but kernel and IOMMU. */
  readonly host: Omit<EstimatedHost, 'kernel' | 'iommu'>;
  /** The guests. */
  readonly vms: readonly EstimatedVm[];
}

/**
 * Reads a host file.
 *
 * @param text YAML; JSON is YAML too
 * @param place its name, for messages
 * @param readLayout gives the text of a file of run lengths, as a guest's `layout` names it
 * @returns what it states, defaults filled in
 * @throws {InputError} with the path of the first fault
 */
export function parseHostFile(
  text: string,
  place: string,
  readLayout: (path: string) => string,
): HostFile {
  const result = hostSchema.safeParse(parsedYaml(text, place));
  if (!result.success) {
    const [issue] = result.error.issues;
    const path = issue.path.map(String).join('.');
    const got = issue.message.replace(/^Invalid input: /, '');
    throw new InputError(`${place}: ${path || 'file'}`, 'a host with vms', got);
  }
  const stated = result.data;
  const bytesOf = (value: string | number, at: string): number =>
    typeof value === 'number' ? value : parseSize(value, `${place}: ${at}`);
  const memlock = stated.memlock === 'unlimited' ? Infinity : bytesOf(stated.memlock, 'memlock');
  const runsOf = (layout: z.infer<typeof vmSchema>['layout'], at: string): RunHistogram | null => {
    if (layout === undefined) return null;
    if (typeof layout === 'string') return parseHistogram(readLayout(layout), layout);
    const lines = Object.entries(layout).map(([length, count]) => `${length} ${count}`);
    return parseHistogram(lines.join('\n'), at);
  };
  const vms = stated.vms.map((vm, i): EstimatedVm => {
    const at = `vms.${i}`;
    return {
      name: vm.name ?? `vm${i + 1}`,
      bytes: bytesOf(vm.memory, `${at}.memory`),
      backing: backing(vm.backing, `${place}: ${at}.backing`).name,
      runs: runsOf(vm.layout, `${place}: ${at}.layout`),
      populated: vm.populated || vm['prealloc-threads'] > 0,
      preallocThreads: vm['prealloc-threads'],
      containers: vm.containers,
      bars: vm.bars.map((bar, n) => bytesOf(bar, `${at}.bars.${n}`)),
    };
  });
  return {
    iommu: stated.iommu,
    kernels: stated.kernels,
    profile: stated.profile,
    host: {
      hvo: stated.hvo,
      memlock,
      capIpcLock: stated['cap-ipc-lock'],
      entryLimit: stated['entry-limit'],
    },
    vms,
  };
}

function parsedYaml(text: string, place: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    const [start] = error.linePos ?? [];
    const at = start ? `${place}:${start.line}:${start.col}` : place;
    const got = error.message.split('\n')[0].replace(/ at line \d+, column \d+:$/, '');
    throw new InputError(at, 'YAML or JSON', got);
  }
}
