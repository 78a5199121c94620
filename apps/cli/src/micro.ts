/**
 * `calibrate --micro`: how fast this machine is at atomics, cache lines, fills, walks and clearing,
 * measured in Node alone, without root and without a device. Windows are short and many, and the
 * 10th percentile of them counts: on a loaded machine long windows are several times off.
 *
 * @source reference cost.md §6.6
 */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { MachineRates } from '@pinfold/bench';

/** What was measured. */
export interface MicroResult {
  /** Nanoseconds of an atomic on a cached line. */
  readonly atomicNs: number;
  /** Nanoseconds of an atomic on a cold line. */
  readonly atomicColdNs: number;
  /** Nanoseconds of a read 64 bytes after the one before. */
  readonly lineNs: number;
  /** Nanoseconds of a stored pointer. */
  readonly fillNs: number;
  /** Nanoseconds of a dependent walk of three levels. */
  readonly walkNs: number;
  /** GiB per second of clearing memory that is mapped. */
  readonly clearGiBs: number;
  /** GiB per second of memory touched first: faults and clearing. */
  readonly firstTouchGiBs: number;
  /** The hypervisor under which this runs, or null. */
  readonly hypervisor: string | null;
  /** The processor. */
  readonly cpu: string;
  /** What is known of the machine, in words. */
  readonly host: string;
  /** What they say of the priors' rates. */
  readonly rates: MachineRates;
  /** All that as sentences. */
  readonly lines: readonly string[];
}

/** Windows of each measurement. */
const WINDOWS = 300;

/** Percentile of the windows that counts. */
const PERCENTILE = 0.1;

/** Units of one window, so that it takes 50 to 200 us. */
const HOT = 20_000;
const COLD = 8_000;

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** Instructions of one turn of the loop that fills pointers, as V8 compiles it. */
const FILL_INSTRUCTIONS = 5;

/**
 * Measures this machine, in a few seconds.
 *
 * @returns what was measured
 */
export function measureMicro(): Promise<MicroResult> {
  const shared = new Int32Array(new SharedArrayBuffer(64 * MIB));
  const plain = new Float64Array(8 * MIB);
  const table = walkTable();
  const atomicNs = window(HOT, (i) => {
    for (let n = 0; n < HOT; n++) Atomics.add(shared, i & 15, 1);
  });
  // Lines in an order that no prefetcher follows, each visited once per pass over 64 MiB.
  const atomicColdNs = window(COLD, (i) => {
    let at = (i * 7919 * 16) & (shared.length - 1);
    for (let n = 0; n < COLD; n++) {
      at = (at + 1_299_709 * 16) & (shared.length - 1);
      Atomics.add(shared, at, 1);
    }
  });
  let kept = 0;
  const lineNs = window(HOT, (i) => {
    let at = (i * HOT * 8) & (plain.length - 1);
    for (let n = 0; n < HOT; n++) {
      kept += plain[at];
      at = (at + 8) & (plain.length - 1);
    }
  });
  const fillNs = window(HOT, (i) => {
    const from = (i * HOT) & (MIB - 1);
    for (let n = 0; n < HOT; n++) plain[from + n] = i + n;
  });
  const walkNs = window(COLD, (i) => {
    let at = i & 511;
    for (let n = 0; n < COLD; n++) at = table[1024 + table[512 + table[at]]] & 511;
    kept += at;
  });
  const clear = new Uint8Array(64 * MIB);
  const clearNs = window(MIB, (i) => clear.fill(0, (i & 63) * MIB, ((i & 63) + 1) * MIB));
  const touchNs = firstTouch();
  const rates = {
    instructionsPerNs: FILL_INSTRUCTIONS / Math.max(fillNs, 0.1),
    atomicNs: Math.max(atomicNs, 0.5),
    lineNs: Math.max(lineNs, 0.5),
  };
  const [clearGiBs, firstTouchGiBs] = [1e9 / clearNs / GIB, 1e9 / touchNs / GIB];
  const cpu = cpus()[0]?.model.trim() ?? 'unknown';
  const hypervisor = hypervisorName();
  const measured = { atomicNs, atomicColdNs, lineNs, fillNs, walkNs, clearGiBs, firstTouchGiBs };
  if (Number.isNaN(kept)) throw new Error('reads of zeroed memory are not numbers');
  const lines = sentences({ ...measured, cpu, hypervisor });
  const host = hypervisor === null ? cpu : `${cpu}, under ${hypervisor}`;
  return Promise.resolve({ ...measured, hypervisor, cpu, host, rates, lines });
}

/** Nanoseconds per unit: the 10th percentile of many short windows, after a warm-up. */
function window(units: number, run: (i: number) => void): number {
  for (let i = 0; i < 20; i++) run(i);
  const times: number[] = [];
  for (let i = 0; i < WINDOWS; i++) {
    const start = process.hrtime.bigint();
    run(i);
    times.push(Number(process.hrtime.bigint() - start) / units);
  }
  times.sort((a, b) => a - b);
  return times[Math.floor(PERCENTILE * times.length)];
}

/**
 * Nanoseconds per byte of memory that nobody has touched. So large that the allocator maps it anew each
 * time; the first write to a page is a fault that clears it.
 */
function firstTouch(): number {
  const bytes = 64 * MIB;
  const times: number[] = [];
  for (let i = 0; i < 12; i++) {
    const start = process.hrtime.bigint();
    const memory = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += 4096) memory[at] = 1;
    times.push(Number(process.hrtime.bigint() - start) / bytes);
  }
  times.sort((a, b) => a - b);
  return times[Math.floor(PERCENTILE * times.length)];
}

/** Three tables of 512 entries, each leading to a place in the next. */
function walkTable(): Int32Array {
  const table = new Int32Array(3 * 512);
  for (let i = 0; i < table.length; i++) table[i] = (i * 197 + 31) & 511;
  return table;
}

/** The hypervisor under which this kernel runs; null on bare metal, or where nobody says. */
function hypervisorName(): string | null {
  const flags = read('/proc/cpuinfo');
  if (!/^flags.*\bhypervisor\b/m.test(flags)) return null;
  const vendor = read('/sys/class/dmi/id/sys_vendor').trim();
  return vendor === '' ? 'a hypervisor' : `a hypervisor (${vendor})`;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function sentences(m: Omit<MicroResult, 'rates' | 'lines' | 'host'>): string[] {
  const ns = (value: number): string => `${value.toPrecision(3)} ns`;
  const said = [
    `This machine: ${m.cpu}. Atomic ${ns(m.atomicNs)}, on a cold line ${ns(m.atomicColdNs)}; line ` +
      `of a sequence ${ns(m.lineNs)}; pointer stored ${ns(m.fillNs)}; walk of three levels ` +
      `${ns(m.walkNs)}; clearing ${m.clearGiBs.toPrecision(3)} GiB/s, first touch ` +
      `${m.firstTouchGiBs.toPrecision(3)} GiB/s.`,
    'From these come the priors of all classes: without measurements of map and unmap, intervals ' +
      'stay a factor of 2.5 up and down.',
  ];
  if (m.hypervisor !== null)
    said.push(`It runs under ${m.hypervisor}: what the first touch costs is the host's.`);
  return said;
}
