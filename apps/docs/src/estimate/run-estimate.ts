/** The estimate of the page "Estimate": what `pinfold estimate` says, from the fields of the form. */
import { InputError, parseSize } from '@pinfold/base';
import {
  adviceFor,
  adviceText,
  backing,
  costsText,
  costParts,
  DEFAULT_IOMMU,
  estimateVm,
  intervalText,
  limitNotes,
  parseHistogram,
  profile,
  secondsText,
  type EstimatedHost,
  type EstimatedVm,
} from '@pinfold/bench';
import { kernelVersion, kernelVersions } from '@pinfold/kernels';
import type { EstimateRequest, EstimateResult } from './request.ts';

/** Mappings that a container may have, unless the module says otherwise. */
const ENTRY_LIMIT = 65_535;

/**
 * Estimates a guest.
 *
 * @param request the fields of the form
 * @returns what the page shows
 * @throws {InputError} that names the field
 */
export function runEstimate(request: EstimateRequest): EstimateResult {
  const vm = guestOf(request);
  const costs = profile(request.profile, 'Profile');
  const iommu = costs.iommu ?? DEFAULT_IOMMU;
  const kernels = [request.kernel, request.beside].filter((name) => name !== '');
  const memlock = request.memlock === '' ? Infinity : parseSize(request.memlock, 'Limit');
  const hosts = [...new Set(kernels)].map((name): EstimatedHost => {
    const kernel = kernelVersion(name).series;
    return { kernel, iommu, memlock, hvo: false, capIpcLock: false, entryLimit: ENTRY_LIMIT };
  });
  const [host] = hosts;
  const estimates = hosts.map((one) => estimateVm(vm, one, costs));
  const [first] = estimates;
  const newest = kernelVersions.at(-1)?.series ?? host.kernel;
  return {
    times: estimates.map(({ kernel, populate, map, unmap, start }) => ({
      kernel,
      populate: intervalText(populate),
      map: intervalText(map),
      unmap: intervalText(unmap),
      start: intervalText(start),
    })),
    parts: estimates.flatMap((one) =>
      (['map', 'unmap'] as const).map((call) => ({
        of: `${one.kernel} ${call}`,
        seconds: one[call].seconds,
        parts: costParts
          .map((part) => ({ part, seconds: one[call].parts[part] }))
          .filter(({ seconds }) => seconds > 0)
          .map((shown) => ({ ...shown, text: secondsText(shown.seconds) })),
      })),
    ),
    notes: limitNotes(first, host),
    advice: adviceFor(vm, host, costs, newest).map((one) => adviceText(one, first)),
    about: costsText(costs),
  };
}

function guestOf(request: EstimateRequest): EstimatedVm {
  const { memory, bars, populated, layout } = request;
  const threads = populated === 'no' || populated === 'yes' ? 0 : whole(populated, 'Populated');
  return {
    name: 'guest',
    bytes: parseSize(memory.trim(), 'Memory'),
    backing: backing(request.backing, 'Backing').name,
    runs: layout.trim() === '' ? null : parseHistogram(layout, 'Runs'),
    populated: populated !== 'no',
    preallocThreads: threads,
    containers: whole(request.containers, 'Containers'),
    bars:
      bars.trim() === ''
        ? []
        : bars.split(',').map((bar) => parseSize(bar.trim(), 'Device memory')),
  };
}

function whole(text: string, place: string): number {
  const value = /^\d{1,4}$/.test(text.trim()) ? Number(text) : 0;
  if (value >= 1) return value;
  throw new InputError(place, 'a whole number from 1 to 9999', `'${text}'`);
}
