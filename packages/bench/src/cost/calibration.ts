/**
 * Calibration: the costs of a host, fitted to its measurements, and every measurement beside its
 * prediction, with whether it was fitted, held out or excluded and why.
 */
import { InputError } from '@pinfold/base';
import { Matrix, SingularValueDecomposition } from 'ml-matrix';
import { publishedRecords } from '../published/records.ts';
import { roundingOf, type PublishedRecord } from '../published/record.ts';
import { COST_CLASSES, PRIOR_SHARE, type CostClass, type MachineRates } from './classes.ts';
import { counted } from './words.ts';
import { fit, predict, type Posterior, type PredictedSeconds } from './fit.ts';
import { DEFAULT_IOMMU } from '../workloads/mem-dma-map.ts';
import { linkRows, priorCosts, fittedRows, type LinkedRow } from './profiles.ts';

/** Name of the profile that is no host's: priors alone. */
export const UNCALIBRATED = 'uncalibrated';

/** Name of the profile of a user's own measurements. */
export const OWN = 'own';

/** Name of the profile whose priors follow this machine's rates, without any measurement. */
export const MICRO = 'micro';

/** Factor within which a prediction without a calibrated profile is right. */
const UNCALIBRATED_FACTOR = 2.5;

/** One class of a profile. */
export interface ProfileClass {
  /** The class. */
  readonly name: CostClass;
  /** What one unit is. */
  readonly unit: string;
  /** Mean cost in nanoseconds. */
  readonly ns: number;
  /** Its standard deviation. */
  readonly sd: number;
  /** Whether measurements decide it, or what was believed before. */
  readonly from: 'data' | 'prior';
}

/** A named set of costs. */
export interface Profile {
  /** Its name. */
  readonly name: string;
  /** What is known of its host. */
  readonly host: string;
  /** Kind of the IOMMU that its measurements are of; null: of any, or not known. */
  readonly iommu: string | null;
  /** Names of the measurements that it was fitted to. */
  readonly rows: readonly string[];
  /** Its costs and their covariance. */
  readonly posterior: Posterior;
  /** Classes that its measurements have. */
  readonly classes: readonly ProfileClass[];
  /** What the measurements cannot tell, as sentences. */
  readonly remarks: readonly string[];
}

/** The profiles of published hosts, with what is known of each. */
const PROFILE_HOSTS: Readonly<Record<string, string>> = {
  'li-zhe-2025': "Li Zhe's test host, not stated; v6.15 to v6.16",
  'williamson-2025': "Alex Williamson's host, not stated; a kernel of June 2025",
  'jordan-2022-intel': 'Intel Xeon Platinum 8167M, 2 x 26 cores; v5.14',
  'jordan-2022-amd': 'AMD EPYC 7J13, 2 nodes; v5.14',
  'jordan-2021': 'two-node Intel Broadwell; a kernel of February 2021',
};

/** Names of all profiles that need no measurement of one's own. */
export const profileNames: readonly string[] = [...Object.keys(PROFILE_HOSTS), UNCALIBRATED];

/**
 * The profile of a published host, fitted to all rows of it that can be fitted.
 *
 * @param name its name, or {@link UNCALIBRATED}
 * @param place the flag or the place in a file, for the message
 * @returns the profile
 * @throws {InputError} when there is none of that name
 */
export function profile(name: string, place = 'profile'): Profile {
  if (name === UNCALIBRATED) return profileOfRows(name, []);
  if (!(name in PROFILE_HOSTS))
    throw new InputError(place, `one of ${profileNames.join(', ')}`, `'${name}'`);
  const records = publishedRecords().filter((record) => isOf(record, name));
  return profileOfRows(name, linkRows(records));
}

function isOf(record: PublishedRecord, name: string): boolean {
  return profileNameOf(record) === name;
}

/**
 * The profile that predicts a record: that of its host.
 *
 * @param record the measurement
 * @returns its name; {@link UNCALIBRATED} for a host of which there is none
 */
function profileNameOf(record: PublishedRecord): string {
  const [row] = linkRows([{ ...record, op: 'host' }]);
  return row.link.profile ?? UNCALIBRATED;
}

/**
 * A profile fitted to rows.
 *
 * @param name its name
 * @param rows linked measurements of one host
 * @param rates the machine's rates, for the priors; default those of no machine in particular
 * @returns the profile
 */
function profileOfRows(name: string, rows: readonly LinkedRow[], rates?: MachineRates): Profile {
  const used = rows.filter(({ units, seconds, link }) => {
    return units !== null && seconds !== null && link.reason === null;
  });
  const posterior = fit(fittedRows(used), priorCosts(1, rates));
  const classes = classesOf(posterior, used);
  return {
    name,
    host: PROFILE_HOSTS[name] ?? used[0]?.record.hardware ?? 'no host in particular',
    iommu: name in PROFILE_HOSTS ? (used[0]?.link.workload?.iommu ?? DEFAULT_IOMMU) : null,
    rows: used.map(({ record }) => record.id),
    posterior,
    classes,
    remarks: remarksOf(used, classes),
  };
}

function classesOf(
  { classes, mean, covariance }: Posterior,
  rows: readonly LinkedRow[],
): ProfileClass[] {
  return classes.flatMap((name, i) => {
    if (rows.length > 0 && !rows.some(({ units }) => units?.[name])) return [];
    const sd = Math.sqrt(covariance[i][i]);
    const from = sd < (PRIOR_SHARE / 2) * mean[i] ? 'data' : 'prior';
    return [{ name, unit: COST_CLASSES[name].unit, ns: mean[i], sd, from }];
  });
}

/** What the rows cannot tell apart: classes are separated as far as their units have rank. */
function remarksOf(rows: readonly LinkedRow[], classes: readonly ProfileClass[]): string[] {
  if (rows.length === 0)
    return ['no measurement: costs are what instructions, atomics and cache lines suggest'];
  const configurations = [...new Set(rows.map(({ units }) => JSON.stringify(units)))];
  // The share of each class in each configuration, so that rare and frequent units weigh alike.
  const weights = configurations.map((text) => {
    const units = JSON.parse(text) as Partial<Record<CostClass, number>>;
    const parts = classes.map(({ name, ns }) => (units[name] ?? 0) * ns);
    const total = parts.reduce((a, b) => a + b, 0);
    return parts.map((part) => part / total);
  });
  const { diagonal } = new SingularValueDecomposition(new Matrix(weights), { autoTranspose: true });
  const rank = diagonal.filter((value) => value > 0.02 * diagonal[0]).length;
  const notable = classes.filter((_, i) => weights.some((row) => row[i] > 0.02)).length;
  if (rank >= notable) return [];
  return [
    `${counted(rows.length, 'measurement')} of ${counted(configurations.length, 'configuration')} ` +
      `have rank ${rank}: they cannot separate the ${notable} classes that matter in them, so that sums are known and ` +
      'parts follow the priors',
  ];
}

/**
 * Predicts units of work with a profile.
 *
 * @param of the profile
 * @param units the units
 * @param rounding half a unit of the last digit that will be printed, in seconds; default 0
 * @returns seconds with their 90 % interval; a factor of 2.5 up and down without measurements
 */
export function predictWith(
  of: Pick<Profile, 'posterior' | 'rows'>,
  units: NonNullable<LinkedRow['units']>,
  rounding = 0,
): PredictedSeconds {
  const predicted = predict(of.posterior, units, rounding);
  if (of.rows.length > 0) return predicted;
  const { seconds } = predicted;
  return { seconds, low: seconds / UNCALIBRATED_FACTOR, high: seconds * UNCALIBRATED_FACTOR };
}

/** How a measurement was used. */
export type RowUse = 'fitted' | 'held out' | 'excluded' | 'not expressed';

/** A measurement beside its prediction. */
export interface CalibratedRow {
  /** The measurement. */
  readonly record: PublishedRecord;
  /** How it was used. */
  readonly use: RowUse;
  /** Why it was excluded or is not expressed; null otherwise. */
  readonly reason: string | null;
  /** What was measured, in seconds; null when nothing was. */
  readonly seconds: number | null;
  /** Prediction and interval; null when the model cannot express it. */
  readonly predicted: PredictedSeconds | null;
  /** Name of the profile that predicted it. */
  readonly profile: string;
}

/** What a calibration found. */
export interface Calibration {
  /** The profiles that were fitted. */
  readonly profiles: readonly Profile[];
  /** All measurements. */
  readonly rows: readonly CalibratedRow[];
}

/** What to calibrate. */
export interface CalibrationSpec {
  /** Measurements to fit; default the published ones. */
  readonly fit?: readonly PublishedRecord[];
  /** Name of a profile of which all of `fit` are, whatever host they name: a user's own. */
  readonly own?: string;
  /** Measurements to predict; default those that are fitted. */
  readonly predict?: readonly PublishedRecord[];
  /** Only these profiles. */
  readonly profiles?: readonly string[];
  /** Measurements that are predicted and not fitted. */
  readonly holdOut?: (record: PublishedRecord) => boolean;
  /** The machine's rates, for the priors. */
  readonly rates?: MachineRates;
  /** What is known of the host of `own`. */
  readonly host?: string;
}

/**
 * Fits profiles and predicts measurements with them.
 *
 * @param spec what to fit and to predict
 * @returns profiles and rows
 */
export function calibrate(spec: CalibrationSpec = {}): Calibration {
  const records = spec.fit ?? publishedRecords();
  const hostOf = (record: PublishedRecord): string =>
    spec.own ?? linkRows([{ ...record, op: 'host' }])[0].link.profile ?? UNCALIBRATED;
  const wanted = (name: string): boolean => spec.profiles?.includes(name) ?? true;
  const isHeldOut = spec.holdOut ?? (() => false);
  const linked = linkRows(records);
  const hosts = spec.own === undefined ? records.map(hostOf) : [spec.own];
  const names = [...new Set(hosts)].filter(wanted);
  const profiles = names.map((name) => {
    const rows = linked.filter(({ record }) => hostOf(record) === name && !isHeldOut(record));
    const made = profileOfRows(name, name === UNCALIBRATED ? [] : rows, spec.rates);
    return name === spec.own && spec.host !== undefined ? { ...made, host: spec.host } : made;
  });
  const fallback = profileOfRows(UNCALIBRATED, [], spec.rates);
  const fittedIds = new Set(profiles.flatMap(({ rows }) => rows));
  const toPredict = spec.predict ? linkRows(spec.predict) : linked;
  const rows = toPredict
    .filter(({ record }) => spec.predict !== undefined || wanted(hostOf(record)))
    .map((row) => {
      const by = profiles.find(({ name }) => name === hostOf(row.record)) ?? fallback;
      return calibratedRow(row, by, fittedIds);
    });
  return { profiles, rows };
}

function calibratedRow(row: LinkedRow, by: Profile, fitted: ReadonlySet<string>): CalibratedRow {
  const { record, link, units, seconds } = row;
  const predicted = units === null ? null : predictWith(by, units, roundingOf(record));
  const use: RowUse =
    units === null
      ? 'not expressed'
      : link.reason !== null
        ? 'excluded'
        : fitted.has(record.id)
          ? 'fitted'
          : 'held out';
  return { record, use, reason: link.reason, seconds, predicted, profile: by.name };
}
