/**
 * What all objects of one iommufd share: the machine, counts, the refusal of the call under way.
 *
 * @source drivers/iommu/iommufd/iommufd_private.h struct iommufd_ctx, 7.2
 */
import { LATEST_IOMMU_RULES, PhysRun, type IommuRules } from '@pinfold/iommu';
import type { Memory } from '@pinfold/mm';
import { IommufdCalls } from './calls.ts';
import type { PagesContext } from './pages.ts';
import { Refusals } from './refusal.ts';
import { IOMMUFD_RULES_7_2, type IommufdRules } from './rules.ts';

/** What an iommufd is opened with. */
export interface IommufdOptions {
  /** The machine's memory. */
  readonly memory: Memory;
  /** The rules of the kernel for IOMMUs, which make its domains; default: those of the newest. */
  readonly iommu?: IommuRules;
  /** The rules of the kernel for iommufd; default: those of 7.2. */
  readonly rules?: IommufdRules;
  /** Counts calls, of several iommufds of a machine together; default: of its own. */
  readonly calls?: IommufdCalls;
}

/** The context of one open iommufd. */
export class IommufdContext implements PagesContext {
  readonly memory: Memory;
  /** Rules of the kernel for IOMMUs. */
  readonly iommuRules: IommuRules;
  /** Rules of the kernel for iommufd. */
  readonly rules: IommufdRules;
  readonly calls: IommufdCalls;
  readonly refusals: Refusals = new Refusals();
  /** Room for what a scan of a domain finds. */
  readonly physRun: PhysRun = new PhysRun();

  /** @param options what it is opened with */
  constructor(options: IommufdOptions) {
    const { memory } = options;
    this.memory = memory;
    this.iommuRules = options.iommu ?? LATEST_IOMMU_RULES;
    this.rules = options.rules ?? IOMMUFD_RULES_7_2;
    this.calls = options.calls ?? new IommufdCalls(memory.counters);
  }
}
