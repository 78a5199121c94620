/**
 * The state of a machine as a step shows it; what did not change since it was last shown is left out.
 *
 * @source recordings README, "Recording format"; README-extpin, "Fields of a step"
 */
import type { IommuTable, Observation } from '@pinfold/scenario';
import type { VfioContainer } from '@pinfold/vfio-type1';
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
    container: VfioContainer | null,
    counted: Float64Array,
  ): Omit<Observation, 'op' | 'ret' | 'errno' | 'pins'> {
    const { memory, process } = this.#guest;
    const { task } = process;
    const avail = container?.hasIommu ? container.iommu.dmaAvail : undefined;
    this.#noteRegion(operation);
    const layout = guestOps.get(operation.op)?.layoutStays ? undefined : this.#layouts.look();
    const iommu = this.#changedTable();
    return {
      ...(avail === undefined ? {} : { avail }),
      mm: { VmLck: task.mm.lockedVm * 4 },
      memlock: task.rlimitMemlock === Infinity ? null : task.rlimitMemlock,
      ...(layout ? { layout } : {}),
      ...(iommu ? { iommu } : {}),
      ...this.#driverFields(),
      ...messageFields(memory.log.take()),
      calls: kernelCalls(counted, memory.rules),
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

  #changedTable(): IommuTable | undefined {
    const { firstPci } = this.#guest.devices;
    if (!firstPci?.iommuGroup) return undefined;
    const { container, iommuGroup } = firstPci;
    const blocked = container?.blocksByEmptyTable === true;
    const domain = container?.domainOf(iommuGroup) ?? null;
    return this.#table.look(domain, iommuGroup.unit.kind, blocked);
  }
}
