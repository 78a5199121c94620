// The pages under Reference that follow from other files of the repository: the command line from
// its own help, the language from its package's README and the list of its ops, and what docs/ has.
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { scenarioOps } from '@pinfold/guest';
import { pinfold } from './pinfold.ts';

const root = join(import.meta.dirname, '../../..');
const target = join(import.meta.dirname, '../src/content/docs/reference');

interface Page {
  readonly title: string;
  readonly description: string;
  readonly order: number;
  readonly text: string;
}

function write(name: string, { title, description, order, text }: Page): void {
  const front = { title, description, sidebar: { order } };
  writeFileSync(join(target, name), `---\n${JSON.stringify(front)}\n---\n\n${text}\n`);
}

const help = (args: readonly string[]): string =>
  `\`\`\`text\n${pinfold([...args, '--help'], root).trimEnd()}\n\`\`\`\n`;

/** The commands that the help lists. */
function commands(): string[] {
  const [, list = ''] = pinfold(['--help'], root).split('\nCommands:\n');
  const [names = ''] = list.split('\n\n');
  return [...names.matchAll(/^ {2}([\w-]+) /gm)].map(([, name = '']) => name);
}

function cliPage(): Page {
  const sections = commands().map((name) => `## pinfold ${name}\n\n${help([name])}`);
  return {
    title: 'Command line',
    description: 'What each command does, and its flags.',
    order: 1,
    text: `${help([])}\n${sections.join('\n')}`,
  };
}

function languagePage(): Page {
  const rows = scenarioOps.map(({ usage, summary, modelled }) => {
    const what = modelled ? summary : `${summary} (not modelled)`;
    return `| <code>${usage.replaceAll('|', '\\|')}</code> | ${what} |`;
  });
  const [intro, , devices] = sectionOf('packages/guest/README.md', 'The language');
  return {
    title: 'Scenario language',
    description: 'One step per line: every operation, with its arguments.',
    order: 2,
    text: [
      intro,
      '## Operations\n\nArguments in brackets may be left out. `pinfold list operations` prints the same.',
      `| written | does |\n| --- | --- |\n${rows.join('\n')}`,
      `## Emulated devices\n${devices}`,
    ].join('\n\n'),
  };
}

/**
 * A section of a README, apart by its subheadings.
 *
 * @param file relative to the repository
 * @param heading of the second level
 * @returns what stands before the first subheading, and under each of them without its heading
 */
function sectionOf(file: string, heading: string): string[] {
  const [, section] = readFileSync(join(root, file), 'utf8').split(`\n## ${heading}\n`);
  const parts = section?.split(/\n## /)[0]?.split(/\n### .*\n/) ?? [];
  if (parts.length === 3) return parts;
  throw new Error(
    `${file}: '${heading}' has ${parts.length} parts: what the site shows is not there`,
  );
}

/** A Markdown file of the repository; its heading becomes the title. */
function filePage(file: string, order: number, description: string): Page {
  const [heading = '', ...lines] = readFileSync(join(root, file), 'utf8').split('\n');
  return {
    title: heading.replace(/^# (?:[\w.]+ — )?/, ''),
    description,
    order,
    text: lines.join('\n'),
  };
}

mkdirSync(join(target, 'kernel'), { recursive: true });
write('cli.md', cliPage());
write('language.md', languagePage());
write('own-algorithm.md', {
  ...filePage(
    'docs/own-algorithm.md',
    3,
    'The interface of a pin algorithm, and the calls it has.',
  ),
  title: 'Algorithm interface',
});
for (const file of globSync('docs/reference/*.md', { cwd: root }).sort()) {
  const name = basename(file, '.md');
  if (name === 'README') continue;
  write(`kernel/${name}.md`, filePage(file, 1, 'Facts about the kernel that docstrings cite.'));
}
