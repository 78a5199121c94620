// The pages of the packages' APIs, from their docstrings: TypeDoc writes Markdown, one page per
// package, which gets the front matter and the links of the site here.
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Application, TSConfigReader } from 'typedoc';

const root = join(import.meta.dirname, '../../..');
const target = join(import.meta.dirname, '../src/content/docs/reference/api');
const raw = join(import.meta.dirname, '../generated/api');

const layers = JSON.parse(readFileSync(join(root, 'tooling/layers.json'), 'utf8')) as Readonly<
  Record<string, { readonly name: string }>
>;

/** Folders of the packages that have an interface, lowest layer first. */
const folders = Object.entries(layers)
  .filter(([dir, { name }]) => dir.startsWith('packages/') && name.startsWith('@pinfold/'))
  .map(([dir]) => dir);

/** What a docstring may contain beside what TypeDoc knows. */
const blockTags = ['@source', '@counts'];

const app = await Application.bootstrapWithPlugins(
  {
    entryPointStrategy: 'packages',
    entryPoints: folders.map((dir) => join(root, dir)),
    packageOptions: {
      ...{ entryPoints: ['src/index.ts'], readme: 'none', blockTags: allTags() },
      ...{ skipErrorChecking: true, excludePrivate: true, excludeProtected: true },
      // Types that are not exported are shown where they are used, and need no page.
      validation: { notExported: false, invalidLink: false },
    },
    ...{ plugin: ['typedoc-plugin-markdown'], readme: 'none', blockTags: allTags() },
    validation: { notExported: false, invalidLink: false },
    ...{ disableSources: true, logLevel: 'Error', out: raw },
    // Options of the plugin.
    ...{ router: 'module', hidePageHeader: true, hideBreadcrumbs: true, hidePageTitle: true },
    ...{ parametersFormat: 'table', useCodeBlocks: true },
  } as Parameters<typeof Application.bootstrapWithPlugins>[0],
  [new TSConfigReader()],
);
const project = await app.convert();
if (!project) throw new Error('TypeDoc could not read the packages');
await app.generateOutputs(project);
if (app.logger.hasErrors()) throw new Error('TypeDoc had errors');

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
const pages = globSync('@pinfold/*.md', { cwd: raw });
if (pages.length !== folders.length) throw new Error(`${pages.length} pages of API`);
const slugs = new Map(
  pages.map((page) => [basename(page, '.md'), slugsOf(readFileSync(join(raw, page), 'utf8'))]),
);
for (const page of pages) {
  const name = basename(page, '.md');
  const order = folders.findIndex((dir) => basename(dir) === name);
  const manifest = JSON.parse(
    readFileSync(join(root, folders[order] ?? '', 'package.json'), 'utf8'),
  ) as { readonly description: string };
  const front = [
    '---',
    `title: '@pinfold/${name}'`,
    `description: ${JSON.stringify(manifest.description)}`,
    ...['sidebar:', `  order: ${order + 1}`],
    ...['tableOfContents:', '  maxHeadingLevel: 3', '---'],
  ];
  const text = `${manifest.description}.\n\n${withReference(withLinks(readFileSync(join(raw, page), 'utf8'), name))}`;
  writeFileSync(join(target, `${name}.md`), `${front.join('\n')}\n\n${text}`);
}

/** TypeDoc's own tags, and ours. */
function allTags(): string[] {
  const own = ['@param', '@returns', '@throws', '@example', '@see', '@typeParam', '@deprecated'];
  return [...own, '@defaultValue', '@remarks', '@module', ...blockTags];
}

/** Slugs of the headings of exported things, by their name; the site numbers equal ones. */
function slugsOf(markdown: string): Map<string, string> {
  const counts = new Map<string, number>();
  const slugs = new Map<string, string>();
  for (const [, level = '', text = ''] of markdown.matchAll(/^(#{2,6}) (.+)$/gm)) {
    const name = text.replaceAll('\\', '');
    const slug = name
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-');
    const count = counts.get(slug) ?? 0;
    counts.set(slug, count + 1);
    if (level.length === 3) {
      slugs.set(name.replace(/\(\)$|<.*>$/, ''), count === 0 ? slug : `${slug}-${count}`);
    }
  }
  return slugs;
}

/** `reference type1.md §2` in a docstring leads to the page on the kernel that the site has. */
function withReference(markdown: string): string {
  return markdown.replace(
    /\breference (type1|mm|iommu|strategies)\\?\.md/g,
    (_, page: string) => `[${page} reference](/reference/kernel/${page}/)`,
  );
}

/** Links between pages, `base.md#name`, and inside one, `#name`, lead to where the site has it. */
function withLinks(markdown: string, own: string): string {
  return markdown.replace(
    /\[(`[^`]+`|(?:\\\S|[^\]`\\])+)\]\((?:(?:\.\.\/)*(?:@pinfold\/)?([\w-]+)\.md)?(?:#([\w-]*))?\)/g,
    (_, text: string, page = own, anchor = '') => {
      const slug = slugs.get(String(page))?.get(text.replaceAll('`', '')) ?? String(anchor);
      const path = page === own ? '' : `/reference/api/${String(page)}/`;
      return `[${text}](${path}${slug && `#${slug}`})`;
    },
  );
}
