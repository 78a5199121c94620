/**
 * What a kind of IOMMU is: the hardware of one vendor with its driver. It is one file beside this one
 * and one line in `all.ts`: it says what its units are like, and which page-table format it has where
 * a release names no other.
 *
 * @source reference iommu.md §7 and §9
 */
import type { DomainIds } from '../formats/format.ts';
import type { IommuUnit } from '../domain.ts';

/** What a machine says of an IOMMU. A kind knows its own facts, and has a default for each. */
export interface IommuFacts {
  /** Input address width in bits. */
  readonly addressWidth?: number;
  /** AMD: whether absent entries are cached (NpCache): emulated IOMMUs say so, real ones do not. */
  readonly npCache?: boolean;
  /** Identifiers that domains of other devices have taken at boot. */
  readonly bootDomains?: number;
}

/** A kind of IOMMU. */
export interface IommuKind {
  /** Its name in machines, and in the rules of a release. */
  readonly name: string;
  /** One line on what it is. */
  readonly summary: string;
  /** Name of its page-table format, unless a release names another. */
  readonly format: string;
  /**
   * An IOMMU of the kind.
   *
   * @param facts what the machine says of it
   * @returns its facts in full
   * @throws {InputError} when a fact is none that the kind can have
   */
  unit(facts?: IommuFacts): IommuUnit;
}

/**
 * Hands out identifiers of domains, from 1 on.
 *
 * @param taken how many are taken at boot; default: none
 * @returns the identifiers
 * @source drivers/iommu/amd/iommu.c pdom_id_alloc, 6.18
 */
export function domainIds(taken = 0): DomainIds {
  const given = new Set<number>();
  return {
    take: () => {
      let id = taken + 1;
      while (given.has(id)) id++;
      given.add(id);
      return id;
    },
    give: (id) => {
      given.delete(id);
    },
  };
}
