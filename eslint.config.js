import { builtinModules } from 'node:module';
import eslint from '@eslint/js';
import vitest from '@vitest/eslint-plugin';
import prettier from 'eslint-config-prettier';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';
import layers from './tooling/layers.json' with { type: 'json' };

const names = Object.values(layers).map(({ name }) => name);
/** What a package does not publish: free to use Node and, in tests, its devDependencies.
 * @param {string} dir */
const testFiles = (dir) => [`${dir}/**/*.test.ts`, `${dir}/{test,bench,examples}/**/*.ts`];

/** Any file of recordings may be read: it has no code. */
const deepImport = {
  regex: `^(?:${names.filter((name) => name !== 'recordings').join('|')})/(?!package\\.json$)`,
  message: 'Import the package itself: only what its index.ts exports is for others.',
};
const nodeGlobals = [
  ...['Buffer', 'clearImmediate', 'global', 'module', 'process', 'require', 'setImmediate'],
  ...['__dirname', '__filename'],
];
const nodeModules = {
  regex: `^(?:node:.*|${builtinModules.join('|')})$`,
  message: 'This package also runs in a browser: let the caller hand in what Node provides.',
};

const ASSERTIONS = [
  ...['expect', 'expect*', 'assert*', 'fc.assert', 'refused', 'parseScenario', '**.waitFor'],
];

/**
 * The rules that hold the layers, for one package.
 * @param {string} dir
 * @param {{ name: string, browser: boolean, mayImport: string[] }} layer
 * @returns {import('eslint').Linter.Config[]}
 */
function layerRules(dir, { name, browser, mayImport }) {
  const forbidden = names.filter((other) => !mayImport.includes(other));
  /** @param {string[]} packages */
  const upward = (packages) => ({
    regex: `^(?:${packages.join('|')})(?:/|$)`,
    message: `tooling/layers.json does not let ${name} import this.`,
  });
  // Recordings are data for tests, and an example imports its own package as a user would.
  const forbiddenInTests = forbidden.filter((other) => other !== name && other !== 'recordings');
  const sources = { files: [`${dir}/src/**/*.ts`], ignores: testFiles(dir) };
  return [
    {
      ...sources,
      rules: {
        'no-restricted-imports': [
          'error',
          { patterns: [upward(forbidden), deepImport, ...(browser ? [nodeModules] : [])] },
        ],
        'no-restricted-globals': ['error', ...(browser ? nodeGlobals : [])],
        'no-console': browser ? 'error' : 'off',
      },
    },
    {
      files: testFiles(dir),
      rules: {
        'no-restricted-imports': ['error', { patterns: [upward(forbiddenInTests), deepImport] }],
      },
    },
  ];
}

export default defineConfig(
  globalIgnores([
    ...['**/dist/', '**/coverage/', '**/.turbo/', '**/.astro/', '**/tmp/'],
    'packages/recordings/',
  ]),
  eslint.configs.recommended,
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    languageOptions: { parserOptions: { projectService: true, isolatedDeclarations: true } },
    rules: {
      '@typescript-eslint/no-import-type-side-effects': 'error',
      // As the compiler has it: a leading underscore says that an interface asks for it.
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],

      eqeqeq: 'error',
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportAllDeclaration', message: 'List what is exported by name.' },
      ],

      // Where the strict sets fight numeric code: numbers are formatted all the time, and an index
      // is faster than an iterator in a hot loop.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/prefer-for-of': 'off',
      // It does not see that an index may be out of range, or that a call may change a field.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // It asks for the `!` that no-non-null-assertion forbids.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
    },
  },
  Object.entries(layers).flatMap(([dir, layer]) => layerRules(dir, layer)),
  {
    files: [...testFiles('{packages,apps}/*'), 'tooling/test/*.ts'],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off' },
  },
  {
    // What a reader can hold in mind. Tests may be long: a second, plain model is one on purpose.
    files: ['{packages,apps}/*/src/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      complexity: ['error', 36],
      'max-depth': ['error', 5],
      'max-params': ['error', 8],
    },
  },
  {
    files: ['**/*.test.ts', '**/*.browser.ts'],
    plugins: { vitest },
    rules: {
      ...vitest.configs.recommended.rules,
      // Functions that assert, or throw where something is wrong: ours, fast-check's, Playwright's.
      'vitest/expect-expect': ['error', { assertFunctionNames: ASSERTIONS }],
      // Tables of cases and properties assert in branches and in functions of their own.
      'vitest/no-conditional-expect': 'off',
      'vitest/no-standalone-expect': 'off',
      // The second argument says what was expected.
      'vitest/valid-expect': ['error', { maxArgs: 2 }],
    },
  },
  {
    // Scripts full of JSON.parse: the compiler checks them as far as their comments say types.
    files: ['**/*.{js,mjs}'],
    extends: [tseslint.configs.disableTypeChecked],
    rules: { 'no-undef': 'off' },
  },
  prettier,
);
