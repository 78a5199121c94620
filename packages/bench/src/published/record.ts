/**
 * One published measurement, and the schema of files that hold such: what an author printed, on
 * which kernel and memory. The project's own set is `measurements.json`; a user's file has the
 * same format.
 */
import { InputError } from '@pinfold/base';
import * as z from 'zod';

const seconds = z.number().nonnegative();

const source = z.object({
  title: z.string().default(''),
  author: z.string().default('not stated'),
  date: z.string().default('not stated'),
  where: z.string().default(''),
});

/** The schema of one measurement. */
const recordSchema = z.object({
  id: z.string().min(1),
  source: source.default({ title: '', author: 'not stated', date: 'not stated', where: '' }),
  kernel_base: z.string().default('not stated'),
  variant: z.string().default('base'),
  op: z.string().min(1),
  size_bytes: z.number().nonnegative().nullable().default(null),
  backing: z.string(),
  page_size: z.number().positive().nullable().default(null),
  hardware: z.string().nullable().default(null),
  seconds: seconds.nullable().default(null),
  seconds_from_rate: seconds.optional(),
  rate_gb_per_s: z.number().positive().optional(),
  qemu_init_seconds: seconds.optional(),
  threads: z.number().int().positive().optional(),
  ratio: z.number().positive().optional(),
  range_seconds: z.tuple([seconds, seconds]).optional(),
  upper_bound_seconds: seconds.optional(),
  lower_bound_seconds: seconds.optional(),
  share: z.number().optional(),
  speedup_printed: z.number().optional(),
  bytes_per_iova_tb: z.number().optional(),
  approximate: z.boolean().default(false),
  notes: z.string().default(''),
  derived_ns_per_4k_page: z.number().optional(),
});

/** One measurement. */
export interface PublishedRecord {
  /** Its name, unique in the set. */
  readonly id: string;
  /** Where it was published. */
  readonly source: {
    /** Subject or title. */
    readonly title: string;
    /** Who measured. */
    readonly author: string;
    /** Date, as `2025-06-30`. */
    readonly date: string;
    /** List and Message-ID, or another place. */
    readonly where: string;
  };
  /** Kernel that the measured code is based on. */
  readonly kernel_base: string;
  /** What was changed in it; `base`: nothing. */
  readonly variant: string;
  /** What was timed: `map`, `unmap`, `map+clear`, `gup-longterm`, `unpin`, … */
  readonly op: string;
  /** Memory that it was done to, in bytes; null: not stated. */
  readonly size_bytes: number | null;
  /** The memory, in the author's words. */
  readonly backing: string;
  /** Its page size in bytes; null: not stated. */
  readonly page_size: number | null;
  /** The host, as far as it is stated. */
  readonly hardware: string | null;
  /** Seconds; null when the author gave a ratio or a bound only. */
  readonly seconds: number | null;
  /** Seconds from a printed rate, which has more digits than the printed seconds. */
  readonly seconds_from_rate?: number | undefined;
  /** The printed rate in GiB/s. */
  readonly rate_gb_per_s?: number | undefined;
  /** Seconds of the whole start of QEMU. */
  readonly qemu_init_seconds?: number | undefined;
  /** Threads that did the work; default 1. */
  readonly threads?: number | undefined;
  /** New time divided by old time. */
  readonly ratio?: number | undefined;
  /** Seconds between which it was, where no single figure is given. */
  readonly range_seconds?: readonly [number, number] | undefined;
  /** Seconds that it took at most. */
  readonly upper_bound_seconds?: number | undefined;
  /** Seconds that it took at least. */
  readonly lower_bound_seconds?: number | undefined;
  /** Share of another time. */
  readonly share?: number | undefined;
  /** Old time divided by new time, as printed. */
  readonly speedup_printed?: number | undefined;
  /** Whether the author rounded it in prose. */
  readonly approximate: boolean;
  /** How it was measured. */
  readonly notes: string;
}

/**
 * Reads measurements: an array of records, or an object with `rows`.
 *
 * @param data what a JSON parser gave
 * @param place file name, for messages
 * @returns the records, defaults filled in
 * @throws {InputError} with the path of the first fault
 */
export function parseRecords(data: unknown, place: string): PublishedRecord[] {
  const rows = Array.isArray(data) ? data : (data as { rows?: unknown } | null)?.rows;
  const result = z.array(recordSchema).safeParse(rows);
  if (!result.success) {
    const [issue] = result.error.issues;
    const path = issue.path.map((part) =>
      typeof part === 'number' ? `[${part}]` : `.${String(part)}`,
    );
    const expected = 'measurements, as an array or as { "rows": [...] }';
    throw new InputError(`${place}: ${path.join('') || 'rows'}`, expected, issue.message);
  }
  const seen = new Set<string>();
  for (const { id } of result.data) {
    if (seen.has(id)) throw new InputError(`${place}: ${id}`, 'every id once', 'it twice');
    seen.add(id);
  }
  return result.data;
}

/**
 * The seconds that a fit takes: those from the printed rate where there is one.
 *
 * @param record the measurement
 * @returns seconds; null when none were published
 */
export function secondsOf(record: PublishedRecord): number | null {
  return record.seconds_from_rate ?? record.seconds;
}

/**
 * Half a unit of the last digit that was printed, in seconds.
 *
 * @param record the measurement
 * @returns seconds, at least a thousandth of the value
 */
export function roundingOf(record: PublishedRecord): number {
  const value = secondsOf(record) ?? 0;
  if (record.seconds_from_rate !== undefined && record.rate_gb_per_s !== undefined)
    return Math.max(0.001, 0.05 / record.rate_gb_per_s) * value;
  const decimals = String(record.seconds ?? 0).split('.')[1]?.length ?? 0;
  const tenths = record.notes.includes('printed to 0.1 s') ? 1 : decimals;
  const unit = value < 1e-3 && tenths > 6 ? value * 2e-3 : 10 ** -tenths;
  return Math.max(unit / 2, value * 1e-3);
}
