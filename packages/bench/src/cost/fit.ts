/**
 * Bayesian linear regression of seconds on units of work: costs are non-negative, have priors, and
 * predictions are intervals of Student's t that hold the uncertainty of the costs, a drift between
 * runs, and the rounding of what was printed.
 *
 * @source reference cost.md §4
 */
import { Matrix, CholeskyDecomposition } from 'ml-matrix';
import type { CostClass, CostUnits } from './classes.ts';
import { tQuantile } from './student.ts';

/** One measurement to fit. */
export interface FitRow {
  /** Its units of work. */
  readonly units: CostUnits;
  /** What was measured, in seconds. */
  readonly seconds: number;
  /** Half a unit of the last printed digit, in seconds. */
  readonly rounding: number;
}

/** A belief about the cost of a class. */
export interface ClassCost {
  /** Mean, in nanoseconds per unit. */
  readonly mean: number;
  /** Standard deviation. */
  readonly sd: number;
}

/** Beliefs about classes. */
export type ClassCosts = Readonly<Partial<Record<CostClass, ClassCost>>>;

/** A posterior: what is believed after the rows. */
export interface Posterior {
  /** Classes, in the order of the matrix. */
  readonly classes: readonly CostClass[];
  /** Mean of each, in nanoseconds. */
  readonly mean: readonly number[];
  /** Their covariance, in nanoseconds squared; row by row. */
  readonly covariance: readonly (readonly number[])[];
  /** Degrees of freedom. */
  readonly degrees: number;
  /** Drift between runs, as a share. */
  readonly drift: number;
}

/** Drift between runs of one configuration on one host, unless rows show more. */
const DRIFT = 0.05;

/**
 * Standard deviation of a host's speed, as a share: hosts differ by a factor of 2.
 *
 * @source reference cost.md §2
 */
const HOST_SHARE = 0.7;

/** Correlation of classes that are alike, by the factor by which each differs from its mean. */
const ALIKE = 0.95;

/** Weight of the belief in {@link DRIFT}, as if it came from so many rows. */
const DRIFT_ROWS = 8;

/**
 * Fits costs to rows.
 *
 * @param rows the measurements
 * @param priors what is believed of every class that may occur
 * @param drift drift between runs, as a share
 * @param alike classes that do the same for other memory, so that they are dear together; default none
 * @returns the posterior of all classes of `priors`
 */
export function fit(
  rows: readonly FitRow[],
  priors: ClassCosts,
  drift: number = DRIFT,
  alike: readonly CostClass[] = [],
): Posterior {
  const classes = Object.keys(priors) as CostClass[];
  const beliefs = classes.map((name) => priors[name] as ClassCost);
  const free = classes.map(() => true);
  for (;;) {
    const solved = solve(rows, { classes, beliefs, alike }, free, drift);
    let worst = -1;
    solved.mean.forEach((value, i) => {
      if (free[i] && value < 0 && (worst < 0 || value < solved.mean[worst])) worst = i;
    });
    if (worst < 0) return solved;
    free[worst] = false;
  }
}

/** What is believed of which classes. */
interface Beliefs {
  readonly classes: readonly CostClass[];
  readonly beliefs: readonly ClassCost[];
  readonly alike: readonly CostClass[];
}

/** The posterior when the classes that are not free cost nothing. */
function solve(
  rows: readonly FitRow[],
  { classes, beliefs, alike }: Beliefs,
  free: readonly boolean[],
  drift: number,
): Posterior {
  const n = classes.length;
  // In units of each prior's standard deviation the matrix is well conditioned.
  const scale = beliefs.map(({ sd }) => sd);
  const expected = Matrix.columnVector(beliefs.map(({ mean }, i) => mean / scale[i]));
  const isAlike = classes.map((name) => alike.includes(name));
  const precision = priorPrecision(expected, isAlike);
  const moment = precision.mmul(expected);
  for (const { units, seconds, rounding } of rows) {
    const sigma = sigmaOf(seconds, rounding, drift) * 1e9;
    const x = classes.map((name, i) => (free[i] ? ((units[name] ?? 0) * scale[i]) / sigma : 0));
    const y = (seconds * 1e9) / sigma;
    for (let i = 0; i < n; i++) {
      if (x[i] === 0) continue;
      moment.set(i, 0, moment.get(i, 0) + x[i] * y);
      for (let j = 0; j < n; j++) precision.set(i, j, precision.get(i, j) + x[i] * x[j]);
    }
  }
  const decomposition = new CholeskyDecomposition(precision);
  const inverse = decomposition.solve(Matrix.eye(n, n));
  const solution = decomposition.solve(moment);
  const mean = classes.map((_, i) => (free[i] ? solution.get(i, 0) * scale[i] : 0));
  const covariance = classes.map((_, i) =>
    classes.map((_other, j) => inverse.get(i, j) * scale[i] * scale[j]),
  );
  const spread = residualSpread(rows, classes, mean, drift);
  return { classes, mean, covariance, degrees: DRIFT_ROWS + rows.length, drift: drift * spread };
}

/**
 * The precision of the priors, in units of their standard deviations: each class is uncertain for
 * itself, those that are alike nearly by the same factor, and all of them together by the speed of the
 * host.
 */
function priorPrecision(expected: Matrix, isAlike: readonly boolean[]): Matrix {
  const n = expected.rows;
  const count = isAlike.filter(Boolean).length;
  const own = 1 / (1 - ALIKE);
  const both = -own * (ALIKE / (1 + (count - 1) * ALIKE));
  const precision = Matrix.eye(n, n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++)
      if (isAlike[i] && isAlike[j]) precision.set(i, j, (i === j ? own : 0) + both);
  // What all share is added to the covariance: the rule of Sherman and Morrison.
  const carried = precision.mmul(expected);
  const share = HOST_SHARE ** 2;
  const weight = share / (1 + share * expected.dot(carried));
  return precision.sub(carried.mmul(carried.transpose()).mul(weight));
}

/** Standard deviation of a measured time: drift, and a rounding anywhere within its unit. */
function sigmaOf(seconds: number, rounding: number, drift: number): number {
  return Math.hypot(drift * seconds, rounding / Math.sqrt(3));
}

/** How much more than the drift the rows scatter, as a factor of at least 1. */
function residualSpread(
  rows: readonly FitRow[],
  classes: readonly CostClass[],
  mean: readonly number[],
  drift: number,
): number {
  let sum = DRIFT_ROWS;
  for (const { units, seconds, rounding } of rows) {
    const predicted = dot(units, classes, mean) / 1e9;
    sum += ((predicted - seconds) / sigmaOf(seconds, rounding, drift)) ** 2;
  }
  return Math.max(1, Math.sqrt(sum / (DRIFT_ROWS + rows.length)));
}

function dot(units: CostUnits, classes: readonly CostClass[], mean: readonly number[]): number {
  let sum = 0;
  classes.forEach((name, i) => (sum += (units[name] ?? 0) * mean[i]));
  return sum;
}

/** Seconds, with an interval that the truth is in with the stated probability. */
export interface PredictedSeconds {
  /** The prediction. */
  readonly seconds: number;
  /** Lower end. */
  readonly low: number;
  /** Upper end. */
  readonly high: number;
}

/** Probability that intervals are made for. */
const CONFIDENCE = 0.9;

/**
 * Predicts the seconds of units of work.
 *
 * @param posterior the fitted costs
 * @param units the units
 * @param rounding half a unit of the last digit that will be printed, in seconds; default 0
 * @returns seconds with their 90 % interval
 */
export function predict(posterior: Posterior, units: CostUnits, rounding = 0): PredictedSeconds {
  const { classes, mean, covariance, degrees, drift } = posterior;
  const x = classes.map((name) => units[name] ?? 0);
  const seconds = dot(units, classes, mean) / 1e9;
  let variance = 0;
  for (let i = 0; i < x.length; i++) {
    if (x[i] === 0) continue;
    for (let j = 0; j < x.length; j++) variance += x[i] * covariance[i][j] * x[j];
  }
  const sd = Math.sqrt(variance / 1e18 + (drift * seconds) ** 2 + rounding ** 2 / 3);
  const half = tQuantile((1 + CONFIDENCE) / 2, degrees) * sd;
  // A time is positive, whatever the normal distribution says of one that is hardly known.
  const low = seconds > 0 ? seconds * Math.exp(-half / seconds) : 0;
  return { seconds, low, high: seconds + half };
}
