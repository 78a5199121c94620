/**
 * What the driver of Arm's SMMUv3 does beside its page tables: stream table entries, context
 * descriptors, and the commands that invalidate the TLB of a domain. The hardware invalidates ranges;
 * nothing has ATS.
 *
 * @source drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c __arm_smmu_tlb_inv_range,
 * arm_smmu_tlb_inv_range_domain, arm_smmu_attach_dev, 6.18; arm_smmu_domain_inv_range, 7.2;
 * recordings README-arm, "Flushes"
 */
import { offsetIn, PAGE_SIZE, pagesOf, Slot, type Counters, type IovaPn } from '@pinfold/base';
import type { IommuDevice, IoPageTableOptions } from '../formats/format.ts';
import type { IotlbGather } from '../iotlb-gather.ts';

/** What of the driver differs between releases. */
export interface SmmuDriverRules {
  /**
   * Whether a domain lists what has to be invalidated for its devices: nothing once they are gone,
   * and its ASID when the last one goes. Otherwise it invalidates its ASID whatever translates by it.
   */
  readonly hasInvList: boolean;
}

const CMD_PREFETCH_CFG = 0x01;
const CMD_CFGI_STE = 0x03;
const CMD_CFGI_CD = 0x05;
const CMD_TLBI_NH_ASID = 0x11;
const CMD_TLBI_NH_VA = 0x12;
/** The bit of a CFGI command that says that the last level of the configuration suffices. */
const CFGI_LEAF = 1;
/** Bits of the number of pages in a TLBI command, which it shifts by a scale. */
const NUM_BITS = 5;

/** The devices and the TLB of one domain. */
export class SmmuDomain {
  /** Identifier of the address space (ASID). */
  readonly id: number;
  readonly #granuleShift: number;
  readonly #options: IoPageTableOptions;
  readonly #rules: SmmuDriverRules;
  readonly #counters: Counters;
  readonly #devices: IommuDevice[] = [];

  /**
   * @param options facts of the hardware
   * @param rules what the release decides
   * @param counters counters to add to
   */
  constructor(options: IoPageTableOptions, rules: SmmuDriverRules, counters: Counters) {
    this.id = options.domainIds?.take() ?? 1;
    this.#granuleShift = Math.log2(PAGE_SIZE);
    this.#options = options;
    this.#rules = rules;
    this.#counters = counters;
  }

  /**
   * A device that is blocked gets the domain: its context descriptor, then its stream table entry.
   *
   * @param device the device
   * @source drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c arm_smmu_attach_dev, 6.18
   */
  attach(device: IommuDevice): void {
    this.#counters.tracer?.enter('arm_smmu_attach_dev');
    this.#writeCd(device);
    this.#writeSte(device);
    this.#counters.tracer?.exit('arm_smmu_attach_dev');
    this.#devices.push(device);
  }

  /**
   * A device is blocked.
   *
   * @param device the device
   * @source drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c arm_smmu_attach_dev_blocked, 6.18 and 7.2
   */
  detach(device: IommuDevice): void {
    this.#devices.splice(this.#devices.indexOf(device), 1);
    this.#writeSte(device);
    if (this.#rules.hasInvList && this.#devices.length === 0) this.#invalidateAsid();
    this.#writeCd(device);
  }

  /** The domain is freed: nothing of it may stay in the TLB. */
  free(): void {
    const { tracer } = this.#counters;
    tracer?.enter('arm_smmu_tlb_inv_context');
    if (this.#rules.hasInvList) {
      tracer?.enter('arm_smmu_domain_inv_range', 0, 0, 0, 0);
      tracer?.exit('arm_smmu_domain_inv_range');
    } else {
      this.#invalidateAsid();
      this.#atcInvalidate();
    }
    tracer?.exit('arm_smmu_tlb_inv_context');
    this.#options.domainIds?.give(this.id);
  }

  /**
   * Invalidates the gathered range; an empty gather has no page size, and nothing is done.
   *
   * @param gather the pending invalidation
   * @source drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c arm_smmu_iotlb_sync, 6.18 and 7.2
   */
  iotlbSync({ start, end, pieceSize }: IotlbGather): void {
    const { tracer } = this.#counters;
    tracer?.enter('arm_smmu_iotlb_sync', start, end, PAGE_SIZE - 1, pieceSize);
    if (pieceSize > 0) this.#invalidate(start, end - start + 1, pieceSize, true);
    tracer?.exit('arm_smmu_iotlb_sync');
  }

  /**
   * The same where a leaf does not fit the gather. There the compiler of 7.2 has inlined it.
   *
   * @param gather the pending invalidation
   */
  iotlbSyncInside(gather: IotlbGather): void {
    const { start, end, pieceSize } = gather;
    if (!this.#rules.hasInvList) this.iotlbSync(gather);
    else if (pieceSize > 0) this.#invalidate(start, end - start + 1, pieceSize, true);
  }

  /**
   * Invalidates what a walk has found on its way to a table that is removed.
   *
   * @param iovaPn first page of the table
   * @param npage its pages
   * @source drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c arm_smmu_tlb_inv_walk, 6.18
   */
  tlbInvWalk(iovaPn: IovaPn, npage: number): void {
    const { tracer } = this.#counters;
    tracer?.enter('arm_smmu_tlb_inv_walk', iovaPn, npage, 1);
    this.#invalidate(iovaPn, npage, 1, false);
    tracer?.exit('arm_smmu_tlb_inv_walk');
  }

  /** One range, in as many commands as its length has groups of five bits. */
  #invalidate(iovaPn: IovaPn, npage: number, granule: number, leaf: boolean): void {
    const { tracer } = this.#counters;
    this.#counters.add(Slot.iommuFlushes, 1);
    const { hasInvList } = this.#rules;
    if (hasInvList)
      tracer?.enter('arm_smmu_domain_inv_range', iovaPn, npage, granule * PAGE_SIZE, Number(leaf));
    else {
      tracer?.enter('arm_smmu_tlb_inv_range_domain', iovaPn, npage, granule, Number(leaf));
      tracer?.enter('__arm_smmu_tlb_inv_range', iovaPn, npage, granule);
    }
    if (!hasInvList || this.#devices.length > 0) this.#tlbi(iovaPn, npage, granule, leaf);
    if (hasInvList) tracer?.exit('arm_smmu_domain_inv_range');
    else {
      tracer?.exit('__arm_smmu_tlb_inv_range');
      this.#atcInvalidate();
      tracer?.exit('arm_smmu_tlb_inv_range_domain');
    }
  }

  #tlbi(iovaPn: IovaPn, npage: number, granule: number, leaf: boolean): void {
    const shift = this.#granuleShift;
    const ttl = leaf ? 4 - Math.floor((Math.log2(granule) + shift - 3) / (shift - 3)) : 0;
    const low = ((shift - 10) << 9) | (ttl << 8) | Number(leaf);
    let commands = 0;
    let first = 0;
    for (let left = npage; left > 0; commands++) {
      let scale = 0;
      while (left % pagesOf(scale + 1) === 0) scale++;
      const num = offsetIn(Math.floor(left / pagesOf(scale)), NUM_BITS);
      if (commands === 0) first = (scale << 20) | ((num - 1) << 12) | CMD_TLBI_NH_VA;
      this.#batchAdd();
      left -= num * pagesOf(scale);
    }
    this.#issue(this.id * 2 ** 16, first, iovaPn, low, commands, true);
  }

  #invalidateAsid(): void {
    this.#issue(this.id * 2 ** 16, CMD_TLBI_NH_ASID, 0, 0, 1, true);
  }

  /** Two halves, one after the other. */
  #writeCd({ requester }: IommuDevice): void {
    for (let half = 0; half < 2; half++) {
      this.#batchAdd();
      this.#issue(requester, CMD_CFGI_CD, 0, CFGI_LEAF, 1, true);
    }
  }

  #writeSte({ requester }: IommuDevice): void {
    for (let half = 0; half < 2; half++)
      this.#issue(requester, CMD_CFGI_STE, 0, CFGI_LEAF, 1, true);
    this.#issue(requester, CMD_PREFETCH_CFG, 0, 0, 1, false);
  }

  #batchAdd(): void {
    this.#counters.tracer?.enter('arm_smmu_cmdq_batch_add');
    this.#counters.tracer?.exit('arm_smmu_cmdq_batch_add');
  }

  #atcInvalidate(): void {
    this.#counters.tracer?.enter('arm_smmu_atc_inv_domain');
    this.#counters.tracer?.exit('arm_smmu_atc_inv_domain');
  }

  /** Puts commands into the queue, of which a tracer sees the first, and a wait if asked for. */
  #issue(high: number, low: number, pn: number, bits: number, n: number, sync: boolean): void {
    const { tracer } = this.#counters;
    this.#counters.add(Slot.iommuCommands, n + Number(sync));
    tracer?.enter('arm_smmu_cmdq_issue_cmdlist', high, low, pn, bits, n, Number(sync));
    tracer?.exit('arm_smmu_cmdq_issue_cmdlist');
  }
}
