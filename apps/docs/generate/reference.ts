// The pages under Reference that follow from other files of the repository: the command line from
// its own help, the language from the list of its ops, and what docs/ has.
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { scenarioOps } from '@pinfold/scenario';
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
  return [...list.matchAll(/^ {2}([\w-]+) /gm)].map(([, name = '']) => name);
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
  const intro = readFileSync(join(import.meta.dirname, 'language.md'), 'utf8');
  return {
    title: 'Scenario language',
    description: 'One step per line: every op, with its arguments.',
    order: 2,
    text: `${intro}\n## Ops\n\n| written | does |\n| --- | --- |\n${rows.join('\n')}`,
  };
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
