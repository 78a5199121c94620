/**
 * Messages of SPDK's env_dpdk about VFIO. A vhost target names the region that it registers in one line and
 * the refusal in the next; both together are the map.
 *
 * @source SPDK lib/env_dpdk/memory.c, lib/vhost/rte_vhost_user.c
 */
import { errnoName } from '@pinfold/base';
import type { LogFormat } from '../log/entries.ts';
import { u64 } from '../log/numbers.ts';

const REGION = /Registering VM memory for vtophys translation - (0x[0-9a-f]+) len:(0x[0-9a-f]+)/;
const REFUSED =
  /\*(?:ERROR|NOTICE|WARNING)\*+:? ?Cannot set up DMA mapping, error (\d+)(, ignored)?/;
const MAPPED =
  /Failed to map region(?: region)? vaddr=(0x[0-9a-f]+) phys_addr=(0x[0-9a-f]+) len=(0x[0-9a-f]+)/;

/** The format. */
export const spdk: LogFormat = {
  name: 'SPDK messages',
  open() {
    return {
      read(line, sink) {
        const region = REGION.exec(line);
        if (region) {
          const [va, size] = [u64(region[1], 'the address'), u64(region[2], 'the length')];
          // SPDK registers virtual addresses as they are; with a physical iova mode the log says nothing.
          sink.call({ op: 'map', backend: 'type1', iova: va, va, size, flags: 3, errno: null });
          return true;
        }
        const refused = REFUSED.exec(line);
        if (refused) {
          const errno = errnoName(Number(refused[1]));
          sink.outcome(errno, (call) => call.op === 'map' && call.errno === null);
          const ignored: Record<string, string> =
            refused[2] === undefined ? {} : { ignored: 'yes' };
          sink.message({ program: 'spdk', about: 'map', errno, values: ignored });
          return true;
        }
        const mapped = MAPPED.exec(line);
        if (mapped) {
          const [va, iova, size] = mapped.slice(1).map((text) => u64(text, 'a number'));
          sink.call({ op: 'map', backend: 'type1', iova, va, size, flags: 3, errno: 'EINVAL' });
          return true;
        }
        return /\b(?:memory|rte_vhost_user|vhost|nvme\w*)\.c: *\d+:\w+: \*/.test(line);
      },
    };
  },
};
