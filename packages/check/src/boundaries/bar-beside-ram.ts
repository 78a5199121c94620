/** A BAR of a device between memory of the process, all of which one map may take. */
import * as fc from 'fast-check';
import type { BoundaryClass } from './boundary.ts';
import { frames, HOLE_PFN, HUGE, HUGE_ORDER, placed, type Scene, type Slot } from './scene.ts';

/** The registry's entry. */
export const barBesideRam: BoundaryClass = {
  name: 'BAR next to RAM',
  summary: 'a BAR between memory of the process, physically behind it or far away',
  ownsMachine: true,
  scene: (slot) =>
    fc
      .record({
        pages: fc.constantFrom(1, 4, HUGE),
        bar: fc.constantFrom(HOLE_PFN, HOLE_PFN + 0x1000, 0x240000),
        barPages: fc.constantFrom(4, 16, HUGE),
        behind: fc.boolean(),
      })
      .map(({ pages, bar, barPages, behind }) => sceneOf(slot, pages, bar, barPages, behind)),
  steps: { map: 6, unmap: 4, unmapAll: 1, limit: 1 },
};

function sceneOf(
  { index, vpn, pfn }: Slot,
  pages: number,
  bar: number,
  barPages: number,
  behind: boolean,
): Scene {
  // Ordinary pages end where the hole begins.
  const extent = pages === HUGE ? frames(pfn, HUGE, HUGE_ORDER) : frames(HOLE_PFN - pages, pages);
  const barVpn = vpn + pages;
  const place = { size: BigInt(barPages) << 12n, addr: BigInt(barVpn) << 12n };
  const rest = barVpn + barPages;
  return {
    machine: { bar: { pfn: bar, npage: barPages } },
    before: [
      { op: 'addgroup', dev: 'ivsh16' },
      { op: 'device', dev: 'ivsh16' },
    ],
    memory: [
      placed(`R${index}`, 'anon', vpn, [extent]),
      {
        ...({ op: 'mmap', name: `V${index}`, kind: 'bar', dev: 'ivsh16', bar: 2 } as const),
        ...{ ...place, prot: 'rw', flags: [] },
      },
      ...(behind ? [placed(`T${index}`, 'anon', rest, [frames(pfn + 2048, 4)])] : []),
    ],
    areas: [
      {
        vpn,
        npage: rest - vpn + (behind ? 4 : 0),
        edges: [0, barVpn - vpn, barVpn - vpn, rest - vpn],
      },
    ],
  };
}
