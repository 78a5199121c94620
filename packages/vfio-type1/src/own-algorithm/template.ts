/**
 * Files to begin with: a whole algorithm, or the steps of one that a patch is to change.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, vfio_unpin_pages_remote,
 * vfio_unmap_unpin, vfio_iommu_type1_pin_pages, 6.16 and 6.18
 */
import { InputError } from '@pinfold/base';
import { batched } from '../algorithms/batched.ts';
import { series14 } from '../algorithms/series-1-4.ts';
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { STEPS, type StepName } from './guard.ts';
import { BATCHED, SERIES_1_4 } from './templates.ts';

/** What a file is to begin with. */
export interface TemplateBase {
  /** The base as the file states it: an algorithm, or a release. */
  readonly base: string;
  /** Its algorithm. */
  readonly algorithm: PinAlgorithm;
  /** The steps that it is to have; default: those that pin and unpin a mapping. */
  readonly steps?: readonly StepName[];
}

/** The algorithms that are written in the words of the interface too. */
const WRITTEN: readonly (readonly [PinAlgorithm, string])[] = [
  [series14, SERIES_1_4],
  [batched, BATCHED],
];

const PIN_AND_UNPIN: readonly StepName[] = ['pinChunk', 'unpinRegion'];

/**
 * A file to begin with.
 *
 * @param name name of the algorithm
 * @param from what it begins with; default: all that Linux 6.18 does differently from 6.16
 * @returns the text of a file
 * @throws {InputError} when a step of the base is not written in the words of the interface
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, vfio_unpin_pages_remote, 6.18
 */
export function ownAlgorithmTemplate(name: string, from?: TemplateBase): string {
  if (!from) return SERIES_1_4.replace("'my-algorithm'", `'${name}'`);
  const { base, algorithm, steps = PIN_AND_UNPIN } = from;
  const asked = STEPS.filter((step) => steps.includes(step));
  const summary = `${algorithm.name}, but for ${asked.join(' and ')}`;
  return [
    "import type { OwnAlgorithm } from '@pinfold/vfio-type1';\n",
    `export default {\n  name: '${name}',\n  summary: '${summary}',\n  base: '${base}',\n`,
    `${asked.map((step) => stepText(algorithm, step)).join('\n')}} satisfies OwnAlgorithm;\n`,
  ].join('\n');
}

/** A step of an algorithm, with the comment above it. */
function stepText(algorithm: PinAlgorithm, step: StepName): string {
  const pattern = new RegExp(`(?<=\n\n)(?:  //.*\n)+  ${step}\\([^]+?\n  },\n`);
  const alike = WRITTEN.filter(([written]) => written[step] === algorithm[step]);
  for (const [, text] of alike) {
    const found = pattern.exec(text);
    if (found) return found[0];
  }
  const names = WRITTEN.map(([written]) => written.name).join(' or ');
  const expected = `a step of ${names}, or one that it shares with them`;
  throw new InputError(`${step} of ${algorithm.name}`, expected, 'one of its own');
}
