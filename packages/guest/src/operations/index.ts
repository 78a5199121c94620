/**
 * The scenario language of a {@link ModelMachine}: its operations by groups, each in a file of its own.
 *
 * @source recordings README, "Scenario language"
 */
import { ModelBug } from '@pinfold/base';
import {
  operationText as textOf,
  ScenarioLanguage,
  type Regions,
  type Op,
  type Scenario,
} from '@pinfold/scenario';
import * as container from './container/all.ts';
import * as external from './external/all.ts';
import type { GuestOp } from './guest-op.ts';
import * as iommufd from './iommufd/all.ts';
import * as mappings from './mappings/all.ts';
import * as memory from './memory/all.ts';
import { notModelledOps } from './not-modelled-ops.ts';
import * as process from './process/all.ts';

/** All operations, group by group in the order in which one meets them. */
type All = typeof container &
  typeof memory &
  typeof mappings &
  typeof process &
  typeof external &
  typeof iommufd;

/** The same as values. */
const all: All = { ...container, ...memory, ...mappings, ...process, ...external, ...iommufd };

type OperationOf<Each> = Each extends GuestOp<infer O> ? O : never;

/** One step of a scenario, ready to be done: its op with its arguments evaluated. */
export type Operation = OperationOf<All[keyof All]>;

/** All operations, by the names of their ops. */
export const guestOps: ReadonlyMap<string, GuestOp<Operation>> = new Map(
  Object.values(all).map((each) => [each.op, each]),
);

/** All ops of the language, those included that are read only, by name. */
export const ops: ReadonlyMap<string, Op<Operation>> = new Map([
  ...[...guestOps].map(([name, { entry }]) => [name, entry(name)] as const),
  ...[...notModelledOps].map(([name, { entry }]) => [name, entry(name)] as const),
]);

/** An op of the scenario language, for reference pages and editors. */
export interface ScenarioOp {
  /** Its name. */
  readonly name: string;
  /** How it is written; what may be left out is in brackets: `open type= [dev=]`. */
  readonly usage: string;
  /** What it does. */
  readonly summary: string;
  /** Whether the model can do it. */
  readonly modelled: boolean;
}

/** All ops, in the order in which one meets them. */
export const scenarioOps: readonly ScenarioOp[] = [...ops].map(([name, { usage, modelled }]) => {
  const summary = guestOps.get(name)?.summary ?? notModelledOps.get(name)?.summary ?? '';
  return { name, usage, summary, modelled };
});

/** The scenario language with all of them. */
const language = new ScenarioLanguage<Operation>(ops);

/**
 * Reads a scenario for a {@link ModelMachine}.
 *
 * @param script its text, or its lines
 * @param file its file, for messages
 * @returns its steps, arguments not evaluated
 * @throws {InputError} with file, line and what was expected there
 */
export function parseScenario(
  script: string | readonly string[],
  file: string,
): Scenario<Operation> {
  return language.parse(script, file);
}

/**
 * The shortest line that is read as an operation.
 *
 * @param operation the operation
 * @param regions the regions that are mapped
 * @returns its line
 * @throws {ModelBug} when the language cannot say it
 */
export function operationText(operation: Operation, regions: Regions): string {
  if (operation.op === 'child') return `child ${operationText(operation.does, regions)}`;
  const op = ops.get(operation.op);
  if (!op) throw new ModelBug(`an operation without an op: ${operation.op}`);
  return textOf(op, operation, regions, guestOps.get(operation.op)?.argumentOf);
}

/**
 * The region that an operation makes.
 *
 * @param operation the operation
 * @returns its name; undefined if it makes none
 */
export function newRegionOf(operation: Operation): string | undefined {
  const field = ops.get(operation.op)?.newRegion;
  const fields: Readonly<Record<string, unknown>> = { ...operation };
  const name = field === undefined ? undefined : fields[field];
  return typeof name === 'string' ? name : undefined;
}
