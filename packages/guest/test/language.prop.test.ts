/** Whatever a scenario says, it is read, or refused with an InputError that names its file. */
import { InputError } from '@pinfold/base';
import { evaluate, parseExpression } from '@pinfold/scenario';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseScenario } from '../src/index.ts';
import { ops } from '../src/operations/index.ts';

/** PINFOLD_SEED=7 takes other seeds for all properties, the same with every 7. */
const SEED = Number(process.env.PINFOLD_SEED ?? 0);

const NAMES = 'iova va size flags argsz name kind dev type prot what pages stride of path'.split(
  ' ',
);
const number = fc.oneof(
  fc.bigInt({ min: -5n, max: 2n ** 65n }).map((value) => value.toString()),
  fc.nat().map((value) => `0x${value.toString(16)}`),
  fc
    .tuple(fc.nat(99), fc.constantFrom('K', 'M', 'G', 'T', 'P', 'X', ''))
    .map(([n, unit]) => `${n}${unit}`),
);
const term = fc.oneof(number, fc.constantFrom('A', 'B.end', 'A.len', 'r', 'rw', 'anon', 'v2', ''));
const value = fc.oneof(
  fc.array(term, { maxLength: 4 }).map((terms) => terms.join('+')),
  fc.array(term, { maxLength: 3 }).map((terms) => terms.join('-')),
  fc.string(),
);
const word = fc.oneof(
  fc.tuple(fc.constantFrom(...NAMES), value).map(([name, written]) => `${name}=${written}`),
  fc.string(),
);
const line = fc.oneof(
  fc
    .tuple(fc.constantFrom(...ops.keys(), 'title', '#'), fc.array(word, { maxLength: 6 }))
    .map(([op, words]) => [op, ...words].join(' ')),
  fc.constant('mmap name=A kind=anon size=4M'),
  fc.string(),
);
const regions = new Map([['A', { va: 2n ** 36n, size: 2n ** 22n }]]);

function isInputError(act: () => unknown): boolean {
  try {
    act();
    return false;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    expect(error.message).toMatch(/^f\.scn:\d+: /);
    return true;
  }
}

it('reads any text, or says where it is wrong', () => {
  fc.assert(
    fc.property(
      fc.array(line, { maxLength: 8 }).map((lines) => lines.join('\n')),
      (text) => {
        isInputError(() => {
          const { steps } = parseScenario(text, 'f.scn');
          expect(steps.length).toBeLessThanOrEqual(text.split('\n').length);
          for (const step of steps) isInputError(() => step.evaluate(regions));
        });
      },
    ),
    { seed: SEED + 41, numRuns: 2000 },
  );
});

it('evaluates sums as they are written', () => {
  const summand = fc.tuple(fc.boolean(), fc.bigInt({ min: 0n, max: 2n ** 62n }));
  fc.assert(
    fc.property(fc.array(summand, { minLength: 1, maxLength: 6 }), (summands) => {
      const text = summands
        .map(([minus, n], index) => `${minus ? '-' : index > 0 ? '+' : ''}0x${n.toString(16)}`)
        .join('');
      const sum = summands.reduce((total, [minus, n]) => (minus ? total - n : total + n), 0n);
      const act = (): bigint => evaluate(parseExpression(text, 'f.scn:1'), new Map(), 'f.scn:1');
      if (sum < 0n || sum >= 2n ** 64n) expect(isInputError(act)).toBe(true);
      else expect(act()).toBe(sum);
    }),
    { seed: SEED + 42 },
  );
});
