/**
 * The checker's own benchmark: variants of right algorithms, one mutation each, and which of them the
 * check finds. See {@link USAGE}.
 */
import { parseArgs } from 'node:util';
import { allVariants, search, type Search } from '../test/mutants/find-variant.ts';
import { EQUIVALENT } from '../test/mutants/equivalent.ts';

const USAGE = `npm run bench:mutants -- [--runs 10000] [--only REGEXP] [--shrink] [--floor 0.9]

  --runs    sequences for each variant at most
  --only    variants by id
  --shrink  make every counterexample small, and show their sizes
  --floor   exit with 1 if a smaller share is found
`;

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '10000' },
    only: { type: 'string', default: '' },
    shrink: { type: 'boolean', default: false },
    floor: { type: 'string', default: '0' },
    help: { type: 'boolean', default: false },
  },
});

/** The value below which a share of sorted numbers lies. */
function quantile(sorted: readonly number[], share: number): string {
  const at = Math.min(sorted.length - 1, Math.floor(share * sorted.length));
  return sorted.length === 0 ? '-' : String(Math.round(sorted[at] * 1000) / 1000);
}

function summary(name: string, numbers: readonly number[]): string {
  const sorted = [...numbers].sort((a, b) => a - b);
  return `${name}: median ${quantile(sorted, 0.5)}, 90 % ${quantile(sorted, 0.9)}, most ${quantile(sorted, 1)}\n`;
}

function main(): number {
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const only = new RegExp(values.only);
  const variants = allVariants().filter(({ id }) => only.test(id) && !EQUIVALENT.has(id));
  const found: Search[] = [];
  for (const variant of variants) {
    const one = search(variant, Number(values.runs), values.shrink);
    if (one.found) found.push(one);
    else process.stdout.write(`missed: ${variant.id}\n`);
  }
  const share = found.length / variants.length;
  const sizes = found.flatMap(({ steps }) => (steps === null ? [] : [steps]));
  process.stdout.write(
    `${found.length} of ${variants.length} wrong variants found (${(100 * share).toFixed(1)} %), ` +
      `${EQUIVALENT.size} are right\n` +
      summary(
        'first sequence',
        found.map(({ sequences }) => sequences),
      ) +
      summary(
        'seconds of CPU to it',
        found.map(({ seconds }) => seconds),
      ) +
      (values.shrink ? summary('steps of the counterexample', sizes) : ''),
  );
  return share >= Number(values.floor) ? 0 : 1;
}

process.exitCode = main();
