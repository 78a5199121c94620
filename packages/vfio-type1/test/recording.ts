/**
 * Reads a recording of a real kernel, as far as the tests of this package use it: mappings and
 * unmappings of one region of populated memory.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';

const hex = z.string().regex(/^0x[0-9a-f]+$/);

const extent = z.tuple([z.number(), z.number(), z.number(), z.number(), z.string()]);

const iommuTable = z.object({
  pt_pages: z.number(),
  leaf: z.object({ '4K': z.number(), '2M': z.number(), '1G': z.number() }),
  runs_total: z.number(),
  runs: z.array(z.tuple([hex, hex, hex, z.enum(['4K', '2M', '1G']), z.enum(['r', 'w', 'rw'])])),
});

const step = z.object({
  op: z.string(),
  line: z.string(),
  ret: z.number(),
  errno: z.string().nullable(),
  iova: hex.optional(),
  va: hex.optional(),
  size: hex.optional(),
  flags: z.number().optional(),
  argsz: z.number().optional(),
  size_out: hex.optional(),
  avail: z.number().optional(),
  mm: z.object({ VmLck: z.number() }),
  pins: z.object({ acquired: z.number(), released: z.number() }),
  layout: z.record(z.string(), z.array(extent)).optional(),
  iommu: iommuTable.optional(),
  calls: z.record(z.string(), z.number()).optional(),
});

const recording = z.object({
  format: z.literal('vfio-oracle/1'),
  scenario: z.string(),
  kernel: z.string(),
  aw_bits: z.number(),
  runs: z.array(
    z.object({
      pass: z.enum(['trace', 'plain']),
      pins_left: z.number(),
      start_state: z.object({ memlock: z.number().nullable() }),
      steps: z.array(step),
    }),
  ),
});

/** One step of a recording. */
export type RecordedStep = z.infer<typeof step>;
/** The IOMMU page table after a step. */
export type RecordedTable = z.infer<typeof iommuTable>;
/** A recording. */
export type Recording = z.infer<typeof recording>;

/** Folder of the recordings package. */
export const RECORDINGS: URL = new URL('../../recordings/', import.meta.url);

/** Reads a recording; a missing, unreadable or malformed one throws. */
export function readRecording(file: string): Recording {
  const text = gunzipSync(readFileSync(new URL(file, RECORDINGS))).toString();
  const parsed = recording.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  throw new Error(`${file}: ${z.prettifyError(parsed.error)}`);
}
