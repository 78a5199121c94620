/**
 * The state of a machine as a step shows it; what did not change since it was last shown is left out.
 *
 * @source recordings README, "Recording format"; README-extpin, "Fields of a step"
 */
import type { IommuTable, Observation } from '@pinfold/scenario';
import { VfioContainer } from '@pinfold/vfio-type1';
import type { GuestContainer } from '../vfio/compat-container.ts';
import type { ExtpinDriver } from '../vfio/extpin-driver.ts';
import type { Guest } from '../machine/guest.ts';
import { SeenTable } from './iommu-table.ts';
import { kernelCalls } from './kernel-calls.ts';
import { messageFields } from './kernel-messages.ts';
import { SeenLayouts } from './layout.ts';
import { guestOps, newRegionOf, type Operation } from '../operations/index.ts';

/** Shows one machine, step by step. */
export class ShownState {
  readonly #guest: Guest;
  readonly #driver: ExtpinDriver;
  readonly #layouts: SeenLayouts;
  readonly #table: SeenTable;
  /** Tables of further devices, as text. */
  readonly #tables = new Map<string, string>();
  readonly #iommufdCounted = new Map<string, number>();

  /**
   * @param guest the machine
   * @param driver its emulated devices
   */
  constructor(guest: Guest, driver: ExtpinDriver) {
    this.#guest = guest;
    this.#driver = driver;
    this.#layouts = new SeenLayouts(guest.process.task.mm);
    this.#table = new SeenTable(guest.memory.memmap.geometry);
  }

  /**
   * The state after a step.
   *
   * @param operation what the step did
   * @param container the container that is open
   * @param counted what the counters counted during the step, by their slots
   * @returns the fields of the step that are its state
   */
  after(
    operation: Operation,
    container: GuestContainer | null,
    counted: Float64Array,
  ): Omit<Observation, 'op' | 'ret' | 'errno' | 'pins'> {
    const { memory, process, iommufd } = this.#guest;
    const { task } = process;
    const avail = container?.hasIommu ? availOf(container) : undefined;
    this.#noteRegion(operation);
    const layout = guestOps.get(operation.op)?.layoutStays ? undefined : this.#layouts.look();
    const iommu = this.#changedTable();
    return {
      ...(avail === undefined ? {} : { avail }),
      mm: {
        VmLck: task.mm.lockedVm * 4,
        ...(iommufd.used && { VmPin: task.mm.pinnedVm * 4, UserLck: task.user.lockedVm * 4 }),
      },
      memlock: task.rlimitMemlock === Infinity ? null : task.rlimitMemlock,
      ...(layout ? { layout } : {}),
      ...(iommu ? { iommu } : {}),
      ...this.#driverFields(),
      ...messageFields(memory.log.take()),
      ...this.#changedTables(),
      calls: kernelCalls(counted, memory.rules, this.#iommufdCalls()),
    };
  }

  /** Shows the next page table whatever it is: everything was closed. */
  forgetTable(): void {
    this.#table.forget();
  }

  /** What the emulated devices hold, and what they were told. */
  #driverFields(): Pick<Observation, 'held' | 'notify' | 'notify_total'> {
    const { held } = this.#driver;
    const { total, list } = this.#driver.takeNotifications();
    return { ...(held && { held }), ...(total > 0 && { notify_total: total, notify: list }) };
  }

  #noteRegion(operation: Operation): void {
    const name = newRegionOf(operation);
    const region = name === undefined ? undefined : this.#guest.process.regions.get(name);
    if (name !== undefined && region) this.#layouts.add(name, region);
  }

  /** Calls of the functions of iommufd since the last step. */
  #iommufdCalls(): Record<string, number> {
    const calls: Record<string, number> = {};
    for (const [fn, count] of this.#guest.iommufd.calls.counted) {
      const n = count - (this.#iommufdCounted.get(fn) ?? 0);
      if (n > 0) calls[fn] = n;
      this.#iommufdCounted.set(fn, count);
    }
    return calls;
  }

  /** The page tables of further devices that are bound to the iommufd. */
  #changedTables(): Pick<Observation, 'tables'> {
    const changed: Record<string, IommuTable> = {};
    for (const [device, bound] of [...this.#guest.iommufd.bound].slice(1)) {
      const { name } = device.vfio;
      // Read anew: what was written since the last look, the first device may have taken note of.
      const seen = new SeenTable(this.#guest.memory.memmap.geometry);
      const table = seen.look(bound.hwpt?.domain ?? null, bound.unit.kind);
      const text = JSON.stringify(table);
      if (table === undefined || this.#tables.get(name) === text) continue;
      this.#tables.set(name, text);
      changed[name] = table;
    }
    return Object.keys(changed).length > 0 ? { tables: changed } : {};
  }

  #changedTable(): IommuTable | undefined {
    const { devices, iommufd } = this.#guest;
    const [bound] = iommufd.bound.values();
    if (bound) return this.#table.look(bound.hwpt?.domain ?? null, bound.unit.kind);
    const { firstPci } = devices;
    if (!firstPci?.iommu) return undefined;
    const { container, iommu: iommuGroup } = firstPci;
    const blocked = container?.blocksByEmptyTable === true;
    const domain = container?.domainOf(iommuGroup) ?? null;
    return this.#table.look(domain, iommuGroup.unit.kind, blocked);
  }
}

/** Mappings that may still be made, as GET_INFO tells. */
function availOf(container: GuestContainer): number | undefined {
  if (container instanceof VfioContainer) return container.iommu.dmaAvail;
  const caps = container.tryGetInfo().info?.caps ?? [];
  return caps.find((cap) => cap.name === 'dma_avail')?.avail;
}
