/**
 * Bundles the command: everything that it is made of in `dist`, so that its package can be run
 * without installing another. What package.json lists in `dependencies` stays outside.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { defineConfig, type Plugin } from 'vite';
import manifest from './package.json' with { type: 'json' };

const source = '@pinfold/source';
const { dependencies = {} } = manifest as { dependencies?: Record<string, string> };

/** The file of a thread, as the sources name it. */
const FILE_OF_A_THREAD = /new URL\(\s*'(\.[^']+\.ts)',\s*import\.meta\.url,?\s*\)/g;

/** Makes a bundle of every file that a thread is started with, and names that instead. */
function threads(): Plugin {
  const bundles = new Map<string, string>();
  return {
    name: 'pinfold:threads',
    enforce: 'pre',
    async transform(code, importer) {
      const named = [...code.matchAll(FILE_OF_A_THREAD)];
      // threads.ts is handed the file by those that start threads.
      const starts = /\bnew (?:Thread|Worker)\(/.test(code) && !importer.endsWith('/threads.ts');
      if (starts && named.length === 0) {
        this.error(`${importer}: expected new URL('./a-file.ts', import.meta.url) for the thread`);
      }
      let bundled = code;
      for (const [written, specifier = ''] of named) {
        const file = await this.resolve(specifier, importer);
        if (!file) this.error(`${importer}: there is no ${specifier}`);
        const fileName = `${basename(specifier, '.ts')}.js`;
        if ((bundles.get(fileName) ?? file.id) !== file.id) {
          this.error(`${importer}: another thread's file has the name ${basename(specifier)}`);
        }
        if (!bundles.has(fileName)) this.emitFile({ type: 'chunk', id: file.id, fileName });
        bundles.set(fileName, file.id);
        bundled = bundled.replace(written, `new URL('./${fileName}', import.meta.url)`);
      }
      return bundled === code ? null : bundled;
    },
  };
}

/** A library whose text is read, as the sources name it: package and file in its `dist`. */
const TEXT_OF_A_LIBRARY = /\blibraryText\('([^']+)', '([^']+)'\)/g;

/** Puts the text of such a library in the place where it is read. */
function libraryTexts(): Plugin {
  return {
    name: 'pinfold:library-texts',
    enforce: 'pre',
    transform: (code) =>
      code.replace(TEXT_OF_A_LIBRARY, (_, name: string, file: string) => {
        const url = new URL(`../dist/${file}`, import.meta.resolve(name));
        return JSON.stringify(readFileSync(fileURLToPath(url), 'utf8'));
      }),
  };
}

/** A file that is no code, as the sources name it: it is carried along. */
const CARRIED_FILE = /new URL\(\s*'(\.[^']+\.c)',\s*import\.meta\.url,?\s*\)/g;

/** Puts such a file beside the bundle, and names it there. */
function carriedFiles(): Plugin {
  return {
    name: 'pinfold:carried-files',
    enforce: 'pre',
    transform(code, importer) {
      let bundled = code;
      for (const [written, specifier = ''] of code.matchAll(CARRIED_FILE)) {
        const fileName = basename(specifier);
        const file = new URL(specifier, pathToFileURL(importer));
        this.emitFile({ type: 'asset', fileName, source: readFileSync(file) });
        bundled = bundled.replace(written, `new URL('./${fileName}', import.meta.url)`);
      }
      return bundled === code ? null : bundled;
    },
  };
}

export default defineConfig({
  plugins: [threads(), libraryTexts(), carriedFiles()],
  ssr: {
    noExternal: true,
    external: Object.keys(dependencies),
    resolve: { conditions: [source] },
  },
  build: {
    ssr: true,
    target: 'node20',
    minify: false,
    license: { fileName: 'licenses-of-bundled-packages.md' },
    rolldownOptions: {
      input: { main: 'src/main.ts' },
      // All in one folder: where a bundle looks for another does not depend on how it is cut.
      output: { entryFileNames: '[name].js', chunkFileNames: '[name].js' },
    },
  },
});
