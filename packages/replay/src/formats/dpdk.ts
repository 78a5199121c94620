/**
 * Messages of DPDK's EAL about VFIO, also from within an strace. Those of old and new releases name other
 * things; the calls themselves are in none of them, so that an address alone is told where there is one.
 *
 * @source DPDK lib/eal/linux/eal_vfio.c
 */
import type { LogFormat } from '../log/entries.ts';
import { errnoName } from '@pinfold/base';
import { errnoOfWords } from '../log/numbers.ts';

const ERROR = /error\s+(-?\d+)/;

const MESSAGES: readonly (readonly [RegExp, string])[] = [
  [/Unexpected size (?<got>\d+) of DMA remapping cleared instead of (?<wanted>\d+)/, 'unmap-size'],
  [/[Cc]annot set up DMA remapping/, 'map'],
  [/[Cc]annot clear DMA remapping/, 'unmap'],
  [/Couldn't map new region for DMA/i, 'map'],
  [/[Cc]annot map vaddr for IOMMU/, 'map'],
  [/VFIO support not initialized/, 'no-vfio'],
  [/No free (?<kb>\d+) kB hugepages|No free hugepages reported/, 'hugepages'],
  [/group (?<group>\d+) is not viable/, 'viable'],
  [/VFIO group is not viable/, 'viable'],
  [/IOMMU type.*not supported|no supported IOMMU/, 'no-iommu'],
];

/** The format. */
export const dpdk: LogFormat = {
  name: 'DPDK messages',
  open: () => ({
    read(line, sink) {
      const type = /[Uu]sing IOMMU type (\d+) \(([^)]*)\)/.exec(line);
      if (type) {
        sink.call({ op: 'setiommu', type: Number(type[1]), errno: null });
        return true;
      }
      for (const [pattern, about] of MESSAGES) {
        const found = pattern.exec(line);
        if (!found) continue;
        const [, number] = ERROR.exec(line) ?? [];
        const errno = number === undefined ? errnoOfWords(line) : errnoName(Number(number));
        const { groups: values } = found;
        sink.message({
          ...{ program: 'dpdk', about },
          ...(errno !== undefined && { errno }),
          ...(values && { values: { ...values } }),
        });
        return true;
      }
      const call =
        /dma_(un)?map\s+(?:vaddr:\s*(0x[0-9a-f]+),\s*)?iova:\s*(0x[0-9a-f]+),\s*size:\s*(0x[0-9a-f]+),\s*ret\s*[:=]\s*(-?\d+)(?:.*?\b(E[A-Z]+)\b)?/.exec(
          line,
        );
      if (call) {
        const [, unmap, va, iova, size, ret, errno = ret === '0' ? null : 'EINVAL'] = call;
        const range = { iova: BigInt(iova), size: BigInt(size), errno, backend: 'type1' } as const;
        // What such a line tells of an unmap is the size that came back.
        if (unmap !== undefined && range.size === 0n) {
          sink.message({ program: 'dpdk', about: 'unmap-size', values: { got: '0', iova } });
        } else if (unmap !== undefined) sink.call({ op: 'unmap', flags: 0, ...range });
        else sink.call({ op: 'map', flags: 3, va: BigInt(va ?? iova), ...range });
        return true;
      }
      return /\bEAL: |\bE_EAL\b/.test(line);
    },
  }),
};
