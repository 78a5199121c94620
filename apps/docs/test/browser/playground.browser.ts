import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readRecording, walkPass, type Recording } from '@pinfold/conformance';
import { ModelMachine, parseScenario } from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import { runScenario, StateTracker, type IommuTable, type Observation } from '@pinfold/scenario';
import { pinAlgorithm } from '@pinfold/vfio-type1';
import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import { siteBrowser } from './open-page.ts';

const PATH = '/interactive/playground/';
const site = siteBrowser();

const SCRIPT = `open type=v2
mmap name=A kind=huge2m size=4M
map iova=0x100000 va=A size=4M flags=r
map iova=0x200000 va=A size=2M
unmap iova=0x100000 size=4M
`;

async function openPlayground(fragment = ''): Promise<Page> {
  const page = await site.open(`${PATH}${fragment}`);
  await ran(page);
  return page;
}

/** Waits for the end of a run; what was shown before it must have been removed. */
const ran = (page: Page): Promise<void> =>
  page
    .getByRole('status')
    .filter({ hasText: /refused|Not run/ })
    .waitFor();

/** Chooses in a list, as the browser's users do, and waits for the run that follows. */
async function choose(page: Page, label: string, value: string): Promise<void> {
  await page.getByLabel(label, { exact: true }).selectOption(value);
  await ran(page);
}

/** A row of the table: the step, and its cells by machine and column; empty ones left out. */
type Row = Readonly<Record<string, string>>;

function rowsOf(page: Page): Promise<Row[]> {
  return page.locator('.outcome tbody tr').evaluateAll((rows) =>
    rows.map((row) => {
      const cells = Array.from(row.querySelectorAll<HTMLElement>('[data-cell]'), (cell) => [
        cell.dataset.cell,
        cell.textContent.trim(),
      ]);
      const step = row.querySelector('th')?.textContent.trim();
      return { ...Object.fromEntries(cells.filter(([, text]) => text)), step } as Row;
    }),
  );
}

/** What a row has to say of a machine. */
function cellsOf(machine: string, observation: Observation, table?: IommuTable): Row {
  const { errno, ret, pins, mm } = observation;
  const figures: Record<string, number> = {
    ...{ 'pins +': pins.acquired, 'pins −': pins.released, 'VmLck kB': mm.VmLck },
    ...table?.leaf,
  };
  const shown = Object.entries(figures).filter(([, n]) => n !== 0);
  const cells = shown.map(([column, n]) => [`${machine} ${column}`, n.toLocaleString('en')]);
  return { ...Object.fromEntries(cells), [`${machine} result`]: errno ?? String(ret) } as Row;
}

/** The same scenario in Node. */
async function rowsInNode(script: string, kernel: string, algorithm?: string): Promise<Row[]> {
  const machine = new ModelMachine({
    kernel: kernelVersion(kernel),
    ...(algorithm !== undefined && { type1: { pinAlgorithm: pinAlgorithm(algorithm) } }),
  });
  const { steps } = await runScenario(parseScenario(script, 'scenario'), machine);
  const tracker = new StateTracker();
  return steps.map(({ step, observation }) => ({
    step: step.text,
    ...cellsOf('model', observation, tracker.after(observation).table),
  }));
}

/** Without the end of the process, which has no result. */
const stepsOnly = (rows: Row[]): Row[] => rows.filter(({ step }) => !step?.startsWith('('));

async function typeScenario(page: Page, script: string): Promise<void> {
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.insertText(script);
}

describe('a scenario', () => {
  test('runs at a click as it does in Node', async () => {
    const page = await openPlayground();
    await page.locator('.cm-content').click();
    await typeScenario(page, SCRIPT);
    await page.getByRole('button', { name: 'Run' }).click();
    await page.getByRole('status').filter({ hasText: '5 steps, 1 refused' }).waitFor();
    expect(stepsOnly(await rowsOf(page))).toEqual(await rowsInNode(SCRIPT, '7.2'));
    await choose(page, 'Model', '6.12');
    expect(stepsOnly(await rowsOf(page))).toEqual(await rowsInNode(SCRIPT, '6.12'));
    await choose(page, 'Pin algorithm', 'page-at-a-time');
    expect(stepsOnly(await rowsOf(page))).toEqual(
      await rowsInNode(SCRIPT, '6.12', 'page-at-a-time'),
    );
  });

  test('runs from the keyboard alone, and its steps can be chosen', async () => {
    const page = await openPlayground();
    await page.getByLabel('Pin algorithm').focus();
    await page.keyboard.press('Tab');
    await typeScenario(page, SCRIPT);
    await page.keyboard.press('ControlOrMeta+Enter');
    await page.getByRole('status').filter({ hasText: '5 steps, 1 refused' }).waitFor();
    await expect(page.locator('.details h2').textContent()).resolves.toContain('Line 4');
    await expect(page.locator('.explanation').innerText()).resolves.toMatch(/^EEXIST from /);

    // Tab: Run, Copy link, the table, and its first steps.
    for (let i = 0; i < 6; i++) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await expect(page.locator('.details h2').textContent()).resolves.toBe(
      'Line 3: map iova=0x100000 va=A size=4M flags=r',
    );
    await expect(page.getByLabel('Calls of the step').textContent()).resolves.toMatch(
      /vfio_pin_pages_remote/,
    );
  });

  test('shows a mistake at its line', async () => {
    const page = await openPlayground();
    await page.locator('.cm-content').click();
    await typeScenario(page, 'open type=v2\nmap iova=0 size=4K\n');
    await page.getByRole('button', { name: 'Run' }).click();
    const alert = page.getByRole('alert');
    await expect(alert.locator('p').textContent()).resolves.toMatch(/^scenario:2: expected /);
    await expect(page.locator('.cm-lint-marker-error').count()).resolves.toBe(1);
    await alert.getByRole('button', { name: 'Go to line 2' }).click();
    await expect(page.locator('.cm-activeLine').textContent()).resolves.toBe('map iova=0 size=4K');
    await expect(rowsOf(page)).resolves.toEqual([]);
  });

  test('comes back from the address', async () => {
    const page = await openPlayground();
    await page.locator('.cm-content').click();
    await typeScenario(page, SCRIPT);
    await choose(page, 'Model', '6.16');
    await choose(page, 'Pin algorithm', 'series-1-4');
    await page.locator('.outcome tbody tr').nth(4).click();
    const rows = await rowsOf(page);
    const { hash } = new URL(page.url());
    const again = await openPlayground(hash);
    await expect(rowsOf(again)).resolves.toEqual(rows);
    await expect(again.locator('.details h2').textContent()).resolves.toContain('Line 5');
    await expect(again.getByLabel('Model').inputValue()).resolves.toBe('6.16');
    await expect(again.locator('.cm-content').innerText()).resolves.toContain('kind=huge2m');
  });

  test('that never ends can be stopped', async () => {
    const page = await openPlayground();
    await page.locator('.cm-content').click();
    await typeScenario(
      page,
      `open type=v2\nmmap name=A kind=anon size=4G advise=nohuge\n${'map iova=4G va=A size=4G\nunmap iova=4G size=4G\n'.repeat(200)}`,
    );
    await page.getByRole('button', { name: 'Run' }).click();
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByRole('button', { name: 'Run' }).waitFor();
    await choose(page, 'Example', 'map-memlock');
    await page.getByRole('status').filter({ hasText: '6 steps, 1 refused' }).waitFor();
  });
});

describe('a recording', () => {
  const NAME = 'main/e03-bad-vaddr.json.gz';
  const recordings = join(import.meta.dirname, '../../../../packages/recordings');
  const recorded = (kernel: string): Promise<Recording> =>
    readRecording(join(recordings, kernel, NAME), (file) => Promise.resolve(readFileSync(file)));
  /** The same answers from both machines. */
  const expectedRows = (recording: Recording): Row[] => {
    const pass = recording.runs.find((run) => run.pass === 'trace');
    return (pass ? walkPass(pass) : []).map(({ shown, table }) => ({
      step: shown.line,
      ...cellsOf(`Linux ${recording.kernel}`, shown, table),
      ...cellsOf('model', shown, table),
    }));
  };

  test.each(['6.12.90', '7.2.12'])('of %s stands beside the model', async (kernel) => {
    const page = await openPlayground();
    await choose(page, 'Recording', NAME);
    await choose(page, 'Real kernel', kernel);
    expect(stepsOnly(await rowsOf(page))).toEqual(expectedRows(await recorded(kernel)));
    await expect(page.locator('.different').count()).resolves.toBe(0);
    await expect(page.getByRole('status').textContent()).resolves.toMatch(
      /(\d+) of \1 comparisons agree/,
    );
  });

  test('of another release shows where they differ', async () => {
    const page = await openPlayground(
      '#kernel=6.16&recorded=6.18.15&recording=main/b06-thp.json.gz',
    );
    await expect(page.getByText('differs').first().isVisible()).resolves.toBe(true);
    await expect(page.getByLabel('Calls of the kernel').textContent()).resolves.not.toBe(
      await page.getByLabel('Calls of the model').textContent(),
    );
  });

  test('that is changed is a scenario of the user’s', async () => {
    const page = await openPlayground(`#kernel=7.2&recorded=7.2.12&recording=${NAME}`);
    await page.locator('.cm-content').click();
    await typeScenario(page, SCRIPT);
    await expect(page.getByLabel('Recording').inputValue()).resolves.toBe('');
    await page.getByRole('button', { name: 'Run' }).click();
    await page.getByRole('status').filter({ hasText: '5 steps, 1 refused' }).waitFor();
    await expect(page.locator('.outcome thead tr').count()).resolves.toBe(1);
  });
});
