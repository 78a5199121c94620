// The examples in the READMEs. A line `<!-- example: examples/readme.ts -->` is followed by a block
// with that file and a ```text block with what it prints; both are made from the file:
// `npm run examples:update` writes them, tooling/test/examples.test.ts compares them.
// A `.ts` file runs on Node; in a `.sh` file, `pinfold` is the workspace's own command.
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** A marker, and the two blocks after it if they are there. */
const SECTION =
  /<!-- example: (\S+) -->\n(?:\n```(?:ts|sh)\n[^]*?```\n)?(?:\n```text\n[^]*?```\n)?/g;

/**
 * @typedef {object} Section
 * @property {string} file the example, relative to the workspace
 * @property {string} text the section as it stands in the README
 */

/** @returns {string[]} the READMEs, relative to the workspace */
export function findReadmes() {
  return globSync('{README.md,{packages,apps}/*/README.md}', { cwd: root }).sort();
}

/** @returns {string[]} the examples, relative to the workspace */
export function findExamples() {
  return globSync('{packages,apps}/*/examples/*.{ts,sh}', { cwd: root }).sort();
}

/**
 * @param {string} readme
 * @returns {Section[]}
 */
export function findSections(readme) {
  const sections = readFileSync(join(root, readme), 'utf8').matchAll(SECTION);
  return [...sections].map(([text, file = '']) => ({ file: join(dirname(readme), file), text }));
}

/**
 * What a README says that an example prints.
 * @param {string} readme
 * @param {string} file the example; both relative to the workspace
 * @returns {string}
 */
export function exampleOutput(readme, file) {
  const section = findSections(readme).find((each) => each.file === file);
  const [, output] = /```text\n([^]*?)```\n/.exec(section?.text ?? '') ?? [];
  if (output === undefined) throw new Error(`${readme} does not show ${file}`);
  return output;
}

/**
 * Runs an example.
 * @param {string} file relative to the workspace
 * @returns {string} what it printed
 */
function run(file) {
  const node = [process.execPath, '--conditions=@pinfold/source'];
  const pinfold = [...node, join(root, 'apps/cli/src/main.ts')]
    .map((word) => `'${word}'`)
    .join(' ');
  const [program = '', ...args] =
    extname(file) === '.sh'
      ? ['bash', '-euc', `pinfold() { ${pinfold} "$@"; }; . '${join(root, file)}'`]
      : [...node, join(root, file)];
  const result = spawnSync(program, args, {
    cwd: dirname(dirname(join(root, file))),
    encoding: 'utf8',
  });
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(`${file} failed:\n${result.stdout}${result.stderr}`);
  return result.stdout;
}

/**
 * What a section has to be.
 * @param {string} readme
 * @param {string} file the example, relative to the workspace
 * @returns {string}
 */
export function renderSection(readme, file) {
  const code = readFileSync(join(root, file), 'utf8');
  const marker = file.slice(dirname(readme) === '.' ? 0 : dirname(readme).length + 1);
  const language = extname(file).slice(1);
  return `<!-- example: ${marker} -->\n\n\`\`\`${language}\n${code}\`\`\`\n\n\`\`\`text\n${run(file)}\`\`\`\n`;
}

/** Writes every section of every README, except those of examples that fail. */
function update() {
  for (const readme of findReadmes()) {
    let text = readFileSync(join(root, readme), 'utf8');
    for (const section of findSections(readme)) {
      try {
        const rendered = renderSection(readme, section.file);
        text = text.replace(section.text, () => rendered);
      } catch (error) {
        console.error(`${readme}: ${error instanceof Error ? error.message : String(error)}`);
        process.exitCode = 1;
      }
    }
    writeFileSync(join(root, readme), text);
  }
}

if (import.meta.main && process.argv.includes('--update')) update();
