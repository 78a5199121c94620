import { describe, expect, it } from 'vitest';
import { guestOps, operationText, parseScenario } from '../index.ts';
import * as iommufd from './all.ts';

const A = 'mmap name=A kind=memfd size=4M';
const REGIONS = new Map([['A', { va: 0x10_0000_0000n, size: 4n << 20n }]]);

/** A line, and the shortest one that is read as the same. */
const LINES: readonly (readonly [line: string, shortest: string])[] = [
  ['iofd dev=edu name=J only=1', 'iofd name=J only=1'],
  ['bind dev=edu', 'bind'],
  ['unbind dev=ivsh16', 'unbind dev=ivsh16'],
  ['attach dev=edu pt=H', 'attach pt=H'],
  ['detach', 'detach'],
  ['closeiofd', 'closeiofd'],
  ['ioas_alloc name=I', 'ioas_alloc'],
  ['destroy id=I', 'destroy id=I'],
  ['hwpt_alloc dev=edu name=H', 'hwpt_alloc name=H'],
  ['ioas_map va=A size=A.len flags=fr', 'ioas_map flags=5 va=A size=1024P'],
  ['ioas_map_file fd=-1 size=4K', 'ioas_map_file fd=-1 size=1P'],
  ['ioas_map_file file=A size=4K', 'ioas_map_file file=A size=1P'],
  ['ioas_copy src_iova=4K size=4K', 'ioas_copy src_iova=0x1000 size=1P'],
  ['ioas_unmap iova=last size=4K', 'ioas_unmap iova=last size=1P'],
  ['iova_ranges num=64', 'iova_ranges'],
  ['allow_iovas ranges=0:0xfff,8K:0x3fff', 'allow_iovas ranges=0x0:0xfff,0x2000:0x3fff'],
  ['allow_iovas ranges=', 'allow_iovas'],
  ['option what=huge do=get', 'option do=1 what=1'],
  ['change_process', 'change_process'],
  ['child ioas_unmap iova=last size=4K tail=0', 'child ioas_unmap iova=last size=1P'],
  ['dmabuf name=D dev=ivsh16 bar=2 size=4K', 'dmabuf name=D dev=ivsh16 bar=2 size=1P'],
  ['udmabuf name=U size=4K', 'udmabuf name=U size=1P'],
  ['access_create nopin=1', 'access_create nopin=1'],
  ['access_pin iova=0 size=4K as=P', 'access_pin iova=0x0 size=1P'],
  ['access_unpin id=P', 'access_unpin id=P'],
  ['access_rw iova=0 size=4K va=A flags=0', 'access_rw iova=0x0 size=1P va=A'],
  ['access_replace', 'access_replace'],
  ['access_close', 'access_close'],
];

describe('operations of iommufd', () => {
  it.each(LINES)('%s is written as %s', (line, shortest) => {
    const step = parseScenario(`${A}\n${line}`, 'x.scn').steps[1];
    expect(operationText(step.evaluate(REGIONS), REGIONS)).toBe(shortest);
  });

  it('are all among these lines', () => {
    const names = new Set(LINES.map(([line]) => line.split(' ', 1)[0]));
    const all = Object.values(iommufd).map(({ op }) => op);
    expect(all.filter((op) => !names.has(op) || !guestOps.has(op))).toEqual([]);
  });
});
