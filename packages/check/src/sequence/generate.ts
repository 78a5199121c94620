/** Which sequence a number stands for: boundary classes in turn, then mixtures of them. */
import { DEFAULT_MACHINE, GUEST_IOMMU, type Operation } from '@pinfold/guest';
import { iommuKinds } from '@pinfold/iommu';
import type { KernelVersion } from '@pinfold/kernels';
import type { MachineLine } from '@pinfold/scenario';
import * as fc from 'fast-check';
import type { BoundaryClass } from '../boundaries/boundary.ts';
import { boundaryClasses } from '../boundaries/index.ts';
import { CHECK_MACHINE, slotAt, type FirstDevices, type Scene } from '../boundaries/scene.ts';
import { drawnSteps, operationsOf, type StepMix } from '../boundaries/steps.ts';
import type { CheckSequence } from './sequence.ts';

/** A sequence, and what it is made of. */
export interface GeneratedSequence extends CheckSequence {
  /** Names of its boundary classes: one, or those that are mixed. */
  readonly classes: readonly string[];
}

/** Sequences of each class before the mixtures begin. */
const PER_CLASS = 50;
/** Steps at most, of a class alone and of a mixture. */
const STEPS = { alone: 8, mixed: 10 };

/** The arbitrary of each class alone. */
const alone = boundaryClasses.map((one) => sequences([one], STEPS.alone));
/** The arbitraries of every two classes. */
const pairs = boundaryClasses.flatMap((one, i) =>
  boundaryClasses
    .slice(i + 1)
    .filter((other) => !(one.ownsMachine && other.ownsMachine))
    .map((other) => sequences([one, other], STEPS.mixed)),
);

/**
 * The sequence of a number.
 *
 * @param kernel the kernel that it is for
 * @param seed seed of the check
 * @param index number of the sequence, from 0
 * @returns the sequence, which depends on nothing else
 */
export function sequenceAt(kernel: KernelVersion, seed: number, index: number): GeneratedSequence {
  const first = index < PER_CLASS * alone.length;
  const list = first || pairs.length === 0 ? alone : pairs;
  const [sequence] = fc.sample(list[index % list.length], {
    numRuns: 1,
    seed: (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) | 0,
  });
  const machine = hasClassicSparsemem(kernel) ? sequence.machine : vmemmapOnly(sequence);
  // Other kinds of IOMMUs have other leaves. Most sequences are for the one that is recorded most.
  const kind =
    index % EACH_OTHER_KIND === 0
      ? otherKinds[(index / EACH_OTHER_KIND) % otherKinds.length]
      : null;
  return { ...sequence, machine: kind === null ? machine : { ...machine, iommu: kind } };
}

/** One sequence in so many is for another kind of IOMMU; prime, so that every class meets each. */
const EACH_OTHER_KIND = 7;
const otherKinds = iommuKinds
  .map(({ name }) => name)
  .filter((name) => name !== DEFAULT_MACHINE.iommus[GUEST_IOMMU].kind);

/** Since 6.18 these kernels cannot be configured without a virtual memory map. */
function hasClassicSparsemem({ mm }: KernelVersion): boolean {
  return mm.rangeUnpinStep === 'nth_page';
}

function vmemmapOnly({ machine }: CheckSequence): MachineLine {
  return { ...machine, model: 'sparsemem-vmemmap' };
}

/** Sequences on the memory of some classes at once. */
function sequences(
  classes: readonly BoundaryClass[],
  maxLength: number,
): fc.Arbitrary<GeneratedSequence> {
  const scenes = fc.tuple(...classes.map(({ scene }, i) => scene(slotAt(i))));
  const names = classes.map(({ name }) => name);
  const begins = classes.flatMap((one) => one.begins ?? []);
  return fc.tuple(scenes, drawnSteps(sumOf(classes), maxLength, begins)).map(([parts, draws]) => {
    const scene = together(parts);
    const { machine = {}, devices = 'pci', first = [], before = [], memory } = scene;
    const steps = operationsOf(scene, draws);
    const operations = [...first, ...opening(devices), ...before, ...memory, ...steps];
    return { classes: names, machine: { ...CHECK_MACHINE, ...machine }, operations };
  });
}

function sumOf(classes: readonly BoundaryClass[]): StepMix {
  const sum: Record<string, number> = {};
  for (const { steps } of classes) {
    for (const [kind, weight] of Object.entries(steps)) sum[kind] = (sum[kind] ?? 0) + weight;
  }
  return sum;
}

/** Scenes on one machine. */
function together(scenes: readonly Scene[]): Scene {
  const devices = [...new Set(scenes.map(({ devices: first = 'pci' }) => first))];
  return {
    machine: Object.assign({}, ...scenes.map(({ machine }) => machine)) as MachineLine,
    devices: devices.length === 1 ? devices[0] : 'both',
    first: scenes.flatMap(({ first = [] }) => first),
    before: scenes.flatMap(({ before = [] }) => before),
    memory: scenes.flatMap(({ memory }) => memory),
    areas: scenes.flatMap(({ areas }) => areas),
    iovas: scenes.flatMap(({ iovas = [] }) => iovas),
  };
}

function opening(devices: FirstDevices): Operation[] {
  switch (devices) {
    case 'pci':
      return [{ op: 'open', type: 'v2', dev: 'edu' }];
    case 'emulated':
      return [
        { op: 'open', type: 'v2', dev: 'ext0' },
        { op: 'device', dev: 'ext0' },
      ];
    case 'both':
      return [
        { op: 'open', type: 'v2', dev: 'edu' },
        { op: 'addext', dev: 'ext0' },
      ];
  }
}
