/**
 * What a host says of itself: files of /sys and /proc and the output of small commands, with the command
 * line above them (`$ ulimit -l`) or without.
 */
import type { LogFormat, Sink } from '../log/entries.ts';
import { hexDigits, sizeOf } from '../log/numbers.ts';

const KIB = 1024;
/** The addresses that AMD's HyperTransport keeps for itself. */
const HYPERTRANSPORT = 0xfd_0000_0000n;

type LineReader = (found: RegExpExecArray, sink: Sink) => void;

const reserved: LineReader = ([, from, to, type], sink) => {
  const region = { first: hexDigits(from, 'a region'), last: hexDigits(to, 'a region'), type };
  sink.fact(
    `0x${region.first.toString(16)} to 0x${region.last.toString(16)} is reserved (${type})`,
    (facts) => {
      (facts.reserved ??= []).push(region);
      if (region.first === HYPERTRANSPORT) facts.iommu ??= 'amd';
    },
  );
};

function memlock(kib: string, sink: Sink): void {
  const bytes = kib.includes('unlimited') ? Infinity : Number(kib) * KIB;
  const said = bytes === Infinity ? 'unlimited' : `${kib} KiB`;
  sink.fact(`RLIMIT_MEMLOCK is ${said}`, (facts) => (facts.memlock = bytes));
}

/** Lines that say what they are. */
const LINES: readonly (readonly [RegExp, LineReader])[] = [
  [/^\s*(0x[0-9a-f]{8,16}) (0x[0-9a-f]{8,16}) (\S+)\s*$/, reserved],
  [
    /^VmLck:\s+(\d+) kB/,
    ([, kib], sink) => {
      sink.fact(`VmLck is ${kib} kB`, (facts) => (facts.vmLck = Number(kib) * KIB));
    },
  ],
  [
    /^Max locked memory\s+(\d+|unlimited)\s/,
    ([, bytes], sink) => {
      memlock(bytes === 'unlimited' ? bytes : String(Number(bytes) / KIB), sink);
    },
  ],
  [
    /^(?:max locked memory\s+\(kbytes, -l\)|-l: locked-in-memory size \(kbytes\))\s+(\d+|unlimited)/,
    ([, kib], sink) => {
      memlock(kib, sink);
    },
  ],
  [
    /LimitMEMLOCK=(\d+|infinity)([KMGT]?)/,
    ([, number, unit], sink) => {
      const bytes = number === 'infinity' ? Infinity : sizeOf(number, unit);
      memlock(bytes === Infinity ? 'unlimited' : String(bytes / KIB), sink);
    },
  ],
  [
    /^HugePages_Total:\s+(\d+)/,
    ([, pages], sink) => {
      sink.fact(
        `${pages} huge pages are in the pool`,
        (facts) => (facts.hugepages = Number(pages)),
      );
    },
  ],
  [
    /^CapEff:\s+([0-9a-f]{16})/,
    ([, mask], sink) => {
      const has = (BigInt(`0x${mask}`) >> 14n) % 2n === 1n;
      sink.fact(
        `the process ${has ? 'has' : 'lacks'} CAP_IPC_LOCK`,
        (facts) => (facts.ipcLock = has),
      );
    },
  ],
  [
    /(\d+(?:\.\d+)?)\s*([KMGT]i?B?)\s+guest\b[^:]*iommufd[^:]*: running/,
    ([, number, unit], sink) => {
      const bytes = sizeOf(number, unit);
      sink.fact(`another guest of ${number} ${unit} runs with iommufd`, (facts) => {
        facts.chargedByUser = (facts.chargedByUser ?? 0) + bytes;
      });
    },
  ],
];

/** Commands whose output is a bare line. */
const COMMANDS: readonly (readonly [RegExp, (line: string, sink: Sink) => boolean])[] = [
  [
    /ulimit -H?S?l/,
    (line, sink) => {
      if (!/^(?:\d+|unlimited)\s*$/.test(line)) return false;
      memlock(line.trim(), sink);
      return true;
    },
  ],
  [
    /dma_entry_limit/,
    (line, sink) => {
      if (!/^\d+\s*$/.test(line)) return false;
      const limit = Number(line);
      sink.fact(`dma_entry_limit is ${limit}`, (facts) => (facts.entryLimit = limit));
      return true;
    },
  ],
  [
    /nr_hugepages/,
    (line, sink) => {
      if (!/^\d+\s*$/.test(line)) return false;
      const pages = Number(line);
      sink.fact(`${pages} huge pages are in the pool`, (facts) => (facts.hugepages = pages));
      return true;
    },
  ],
  [
    /uname -r/,
    (line, sink) => {
      if (!/^\d+\.\d+\S*$/.test(line)) return false;
      sink.fact(`the kernel is ${line}`, (facts) => (facts.kernel = line));
      return true;
    },
  ],
];

/** The format. */
export const hostFiles: LogFormat = {
  name: 'host files',
  open() {
    let command = '';
    return {
      read(line, sink) {
        if (/^\S*[$#] ?\w/.test(line)) {
          command = line;
          return true;
        }
        for (const [pattern, read] of LINES) {
          const found = pattern.exec(line);
          if (!found) continue;
          read(found, sink);
          return true;
        }
        return COMMANDS.some(([pattern, read]) => pattern.test(command) && read(line, sink));
      },
    };
  },
};
