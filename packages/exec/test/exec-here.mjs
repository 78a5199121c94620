// Runs a program on the model in a process of its own, whose output a test can read.
import { writeFileSync } from 'node:fs';
import { machineOfWords, runProgram } from '@pinfold/exec';

const [result = '', options = '{}', program = '', ...args] = process.argv.slice(2);
const { kernel = '6.18', machine = '', memlock = null, clockNs, ...more } = JSON.parse(options);
const run = await runProgram(program, args, {
  kernel,
  machine: machineOfWords(machine),
  memlock,
  ...more,
  ...(clockNs !== undefined && { clock: () => clockNs }),
});
const { session, exitCode, leftOpen } = run;
const { model, notModelled, faults } = session;
const done = model.done.map(({ operation, code }) => ({ op: operation.op, code }));
const leftMapped = model.leftMapped.map(({ iova, size }) => [Number(iova), Number(size)]);
writeFileSync(
  result,
  JSON.stringify({
    ...{ exitCode, leftOpen, leftMapped, done, faults, fatal: model.fatal },
    ...{ notModelled: Object.fromEntries(notModelled), scenario: model.scenario() },
  }),
);
