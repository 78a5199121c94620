/** A release from the history of the rules. */
import type { IommuRules } from '@pinfold/iommu';
import type { MmRules } from '@pinfold/mm';
import type { Type1Rules } from '@pinfold/vfio-type1';
import { factIn, tableIn } from './history/fact.ts';
import { formatHistory, iommuHistory } from './history/iommu.ts';
import { mmHistory } from './history/mm.ts';
import { type1History } from './history/type1.ts';
import type { KernelVersion } from './kernel-version.ts';

/** What a release says of itself; the rest is history. */
export interface Release {
  /** Series, for example `6.18`. */
  readonly series: string;
  /** One line on what is particular about it. */
  readonly summary: string;
  /** The point releases that were recorded; default none. */
  readonly recorded?: readonly string[];
  /** Rules of mm that are out of line, by a backport for example. */
  readonly mm?: Partial<MmRules>;
  /** Rules of the IOMMU layer that are out of line. */
  readonly iommu?: Partial<IommuRules>;
  /** Rules of type1 that are out of line. */
  readonly type1?: Partial<Type1Rules>;
}

/**
 * Resolves the rules of a release.
 *
 * @param release what it says of itself
 * @returns the release with its three tables
 */
export function defineRelease(release: Release): KernelVersion {
  const { series, summary, recorded = [] } = release;
  return {
    ...{ series, summary, recorded },
    mm: { ...tableIn<MmRules>(mmHistory, series), ...release.mm },
    iommu: { ...iommuRulesIn(series), ...release.iommu },
    type1: { ...tableIn<Type1Rules>(type1History, series), ...release.type1 },
  };
}

function iommuRulesIn(series: string): IommuRules {
  const facts = Object.entries(formatHistory).map(
    ([kind, history]) => [kind, factIn(history, series)] as const,
  );
  const rules = tableIn<Omit<IommuRules, 'formats'>>(iommuHistory, series);
  const sources = new Set([...facts.map(([, fact]) => fact.source), rules.source]);
  const formats = Object.fromEntries(facts.map(([kind, { value }]) => [kind, value]));
  return {
    ...rules,
    formats,
    source: [...sources].join('; '),
  };
}
