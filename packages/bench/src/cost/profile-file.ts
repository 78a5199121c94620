/** Profiles as files: what `calibrate --save` writes and `--profile FILE` reads. */
import { InputError } from '@pinfold/base';
import * as z from 'zod';
import type { Profile } from './calibration.ts';
import { COST_CLASSES, COST_CLASS_NAMES, type CostClass } from './classes.ts';

const FORMAT = 'pinfold-profile';

/** Raised when a class counts something else than before: costs of another version do not fit. */
const CLASSES_VERSION = 1;

const names = z.enum(COST_CLASS_NAMES as [CostClass, ...CostClass[]]);

const cost = z.number().nonnegative();

const schema = z.strictObject({
  format: z.literal(FORMAT),
  classesVersion: z.number().int(),
  name: z.string().min(1),
  host: z.string(),
  iommu: z.string().nullable(),
  rows: z.array(z.string()),
  drift: z.number().positive(),
  degrees: z.number().min(4),
  remarks: z.array(z.string()),
  classes: z.array(
    z.strictObject({ name: names, ns: cost, sd: cost, from: z.enum(['data', 'prior']) }),
  ),
  posterior: z.strictObject({
    classes: z.array(names),
    mean: z.array(z.number()),
    covariance: z.array(z.array(z.number())),
  }),
});

/**
 * A profile as a file: its costs with their covariance, the drift, the rows used, the host's facts
 * and the version of the classes.
 *
 * @param profile the profile
 * @returns JSON, ending in a line break
 */
export function profileJson(profile: Profile): string {
  const { name, host, iommu, rows, remarks, classes, posterior } = profile;
  const { drift, degrees, mean, covariance } = posterior;
  const file: z.infer<typeof schema> = {
    ...{ format: FORMAT, classesVersion: CLASSES_VERSION, name, host, iommu },
    ...{ rows: [...rows], drift, degrees, remarks: [...remarks] },
    classes: classes.map((one) => ({ name: one.name, ns: one.ns, sd: one.sd, from: one.from })),
    posterior: {
      ...{ classes: [...posterior.classes], mean: [...mean] },
      covariance: covariance.map((row) => [...row]),
    },
  };
  return `${JSON.stringify(file, null, 1)}\n`;
}

/**
 * Reads a profile.
 *
 * @param text what {@link profileJson} has written
 * @param place its name, for messages
 * @returns the profile
 * @throws {InputError} that names the place of the first fault
 */
export function parseProfile(text: string, place: string): Profile {
  const expected = 'a profile that pinfold calibrate --save has written';
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw new InputError(place, expected, error instanceof Error ? error.message : String(error));
  }
  const result = schema.safeParse(data);
  if (!result.success) {
    const [issue] = result.error.issues;
    const at = issue.path.map(String).join('.');
    throw new InputError(`${place}: ${at || 'file'}`, expected, issue.message);
  }
  const file = result.data;
  if (file.classesVersion !== CLASSES_VERSION) {
    const got = `one of version ${file.classesVersion}: calibrate again`;
    throw new InputError(`${place}: classesVersion`, `costs of classes ${CLASSES_VERSION}`, got);
  }
  const { classes, mean, covariance } = file.posterior;
  const n = classes.length;
  const square = covariance.length === n && covariance.every((row) => row.length === n);
  if (mean.length !== n || !square)
    throw new InputError(`${place}: posterior`, `${n} means and ${n} x ${n} covariances`, 'others');
  const { name, host, iommu, rows, remarks, drift, degrees } = file;
  return {
    ...{ name, host, iommu, rows, remarks },
    classes: file.classes.map((one) => ({ ...one, unit: COST_CLASSES[one.name].unit })),
    posterior: { ...file.posterior, drift, degrees },
  };
}
