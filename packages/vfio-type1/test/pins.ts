/** Pins of folios, and what a device reaches. */
import type { Pfn } from '@pinfold/base';
import { GUP_PIN_COUNTING_BIAS } from '@pinfold/mm';
import type { Guest } from './guest.ts';

/** Pins of every folio that has some, by its first frame. */
export function pinsByFolio(guest: Guest): Record<Pfn, number> {
  const pins: Record<Pfn, number> = {};
  for (const { pfn, order, refcount, pincount } of guest.memory.memmap.foliosInUse()) {
    const held = order > 0 ? pincount : Math.floor(refcount / GUP_PIN_COUNTING_BIAS);
    if (held > 0) pins[pfn] = held;
  }
  return pins;
}

/** What {@link pinsByFolio} must be if each of these pages is pinned once. */
export function onePinEach(guest: Guest, pfns: readonly Pfn[]): Record<Pfn, number> {
  const { memmap } = guest.memory;
  const pins: Record<Pfn, number> = {};
  for (const pfn of pfns) {
    const head = pfn - (pfn % 2 ** memmap.order[memmap.headEntryOf(pfn)]);
    pins[head] = (pins[head] ?? 0) + 1;
  }
  return pins;
}

/** The frames that the device reaches; 0: none. */
export function reached(guest: Guest, iovaPn: number, npage: number): Pfn[] {
  const [{ domain }] = guest.iommu.domainList;
  return Array.from({ length: npage }, (_, i) => domain.iovaToPhys(iovaPn + i));
}
