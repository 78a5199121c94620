/** `/proc/PID/smaps` and `/proc/PID/maps`: what the memory of the process is made of. */
import type { Backing, HostFacts, LogFormat } from '../log/entries.ts';
import { hexDigits } from '../log/numbers.ts';

const AREA =
  /^([0-9a-f]{4,16})-([0-9a-f]{4,16}) ([r-][w-][x-][ps]) [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ \d+\s*(.*)$/;
const FIELD = /^([A-Z]\w+):\s+(\d+) kB$/;
const MIB2 = 2048;
const GIB1 = 2 ** 20;
/** Areas that are remembered at most. */
const MAX_AREAS = 2 ** 17;

function kindOf(path: string, access: string): Backing {
  if (/vfio-device|^\/dev\/vfio|resource\d/.test(path)) return 'bar';
  if (path.includes('huge')) return /1G|1048576/.test(path) ? 'memfd1g' : 'memfd2m';
  if (path.startsWith('/memfd:') || path.startsWith('/dev/shm')) return 'memfd';
  if (path.startsWith('/')) return access.endsWith('s') ? 'file' : 'file';
  return 'anon';
}

/** The kind of the last area, once a field says the size of its pages. */
function refine(facts: HostFacts, name: string, kib: number): void {
  const last = facts.memory?.at(-1);
  if (!facts.memory || !last) return;
  let { kind } = last;
  if (name === 'AnonHugePages' && kib > 0 && kind === 'anon') kind = 'thp';
  if (name === 'KernelPageSize' && kib === MIB2) kind = kind === 'anon' ? 'huge2m' : 'memfd2m';
  if (name === 'KernelPageSize' && kib === GIB1) kind = kind === 'anon' ? 'huge1g' : 'memfd1g';
  facts.memory[facts.memory.length - 1] = { ...last, kind };
}

/** The format. */
export const smaps: LogFormat = {
  name: 'smaps',
  open() {
    let areas = 0;
    return {
      read(line, sink) {
        const area = AREA.exec(line);
        if (area) {
          const [, from, to, access, path] = area;
          const va = hexDigits(from, 'an address');
          const size = hexDigits(to, 'an address') - va;
          if (areas++ >= MAX_AREAS) return true;
          const change = (facts: HostFacts): void => {
            (facts.memory ??= []).push({ va, size, kind: kindOf(path, access) });
          };
          if (areas === 1) sink.fact('the memory of the process is known', change);
          else sink.change(change);
          return true;
        }
        const field = areas > 0 ? FIELD.exec(line) : null;
        if (!field) return areas > 0 && line.startsWith('VmFlags: ');
        sink.change((facts) => {
          refine(facts, field[1], Number(field[2]));
        });
        return true;
      },
    };
  },
};
