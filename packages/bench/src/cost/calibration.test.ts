import { describe, expect, it } from 'vitest';
import { parseMeasurements } from '../published/own-rows.ts';
import { publishedRecords } from '../published/records.ts';
import { textStyle } from '../style.ts';
import { calibrate, OWN, profile } from './calibration.ts';
import { parseProfile, profileJson } from './profile-file.ts';
import { calibrationText, errorSummary, predictedRows } from './calibration-report.ts';

describe('a calibration', () => {
  const found = calibrate();

  it('has every published measurement, with a prediction or the reason why there is none', () => {
    expect(found.rows).toHaveLength(publishedRecords().length);
    for (const { record, use, reason, predicted } of found.rows) {
      if (use === 'not expressed') expect(predicted, record.id).toBeNull();
      else expect(predicted?.low, record.id).toBeLessThanOrEqual(predicted?.high ?? 0);
      if (use === 'fitted' || use === 'held out') expect(reason, record.id).toBeNull();
      else expect(reason, record.id).not.toBeNull();
    }
  });

  it('says which classes the data decide, and what they cannot separate', () => {
    const { classes, remarks } = profile('williamson-2025');
    expect(remarks.join()).toMatch(/configurations have rank \d+: they cannot separate/);
    expect(classes.find(({ name }) => name === 'stepSmall')?.from).toBe('data');
    expect(classes.find(({ name }) => name === 'iommuLeaf')?.from).toBe('prior');
  });

  it('predicts a file of measurements and marks those that should not be judged', () => {
    const records = publishedRecords().filter(({ id }) => id.startsWith('lizhe-'));
    const holdOut = ({ id }: { id: string }): boolean => id.startsWith('lizhe-unpin-v');
    const rows = predictedRows(calibrate({ predict: records, holdOut }));
    expect(rows).toHaveLength(records.length);
    expect(rows.find(({ id }) => id === 'lizhe-unpin-v5-thp-map')?.use).toBe('held out');
    expect(rows.find(({ id }) => id === 'lizhe-8g-map-base')?.excluded).toMatch(/function_graph/);
  });

  it('fits measurements of a host of its own', () => {
    const csv = `op,size,backing,kernel,seconds
map,16G,THP,v6.16,0.1003
unmap,16G,THP,v6.16,0.3004
map,16G,hugetlbfs,v6.16,0.1003
`;
    const own = calibrate({ fit: parseMeasurements(csv, 'own.csv'), own: OWN });
    expect(own.profiles.map(({ name }) => name)).toEqual(['own']);
    expect(errorSummary(own.rows)?.worst).toBeLessThan(0.05);
  });

  it('prints no prediction without its interval and profile', () => {
    const text = calibrationText(found, textStyle(100));
    expect(text).toContain('Profile li-zhe-2025');
    expect(text).toContain('90 % interval');
    expect(text).toMatch(/lizhe-series-v1-base-thp-map +0\.047 s +[\d.]+ s +[\d.]+ s to [\d.]+ s/);
  });
});

describe('a profile in a file', () => {
  it('predicts as the profile does', () => {
    const before = profile('jordan-2022-amd');
    const after = parseProfile(profileJson(before), 'f');
    expect(after).toEqual(before);
    expect(after.iommu).toBe('amd');
  });

  it('names the place of a fault', () => {
    const text = profileJson(profile('williamson-2025'));
    expect(() => parseProfile('{', 'f')).toThrow(/^f: expected a profile that/);
    const wrong = text.replace('"classesVersion": 1', '"classesVersion": 0');
    expect(() => parseProfile(wrong, 'f')).toThrow(/^f: classesVersion: .*calibrate again/);
    const cut = text.replace(/"mean": \[[^\]]*\]/, '"mean": []');
    expect(() => parseProfile(cut, 'f')).toThrow(/^f: posterior: /);
  });
});

describe('rows that nobody has seen', () => {
  const row = { id: 'a', op: 'map', backing: 'THP', kernel_base: 'v6.16', size_bytes: 2 ** 34 };
  const li = { hardware: "Li Zhe's test host", source: { author: 'Li Zhe (ByteDance)' } };
  const predictedOf = (more: object): ReturnType<typeof predictedRows>[number] => {
    const predict = parseMeasurements(JSON.stringify({ rows: [{ ...row, ...li, ...more }] }), 'f');
    return predictedRows(calibrate({ predict }))[0];
  };

  it('are predicted without a time of their own', () => {
    const found = predictedOf({});
    expect(found).toMatchObject({ profile: 'li-zhe-2025', use: 'held out', seconds: null });
    expect(found.predicted).toBeGreaterThan(0.045);
    expect(found.predicted).toBeLessThan(0.051);
    expect(predictedOf({ variant: 'series-1-4' }).predicted).toBeLessThan(0.03);
  });

  it.each<[object, RegExp]>([
    [{ kernel_base: 'v4.19' }, /kernel 'v4\.19': not modelled/],
    [{ kernel_base: 'v9.9' }, /kernel 'v9\.9': not modelled/],
    [
      { variant: 'pages pinned by magic' },
      /a change that is not modelled: 'pages pinned by magic'/,
    ],
    [{ op: 'gup-longterm', variant: 'magic' }, /a change that is not modelled/],
    [{ op: 'mremap' }, /'mremap': none of map, /],
    [{ backing: 'core memory' }, /the memory 'core memory' is none that is modelled/],
    [{ page_size: 65536 }, /pages of 64K are not modelled/],
    [{ size_bytes: 12345 }, /no multiple of 2M/],
    [{ size_bytes: 2 ** 50 }, /more than 64T/],
    [{ threads: 4 }, /several threads/],
    [{ ratio: 0.5 }, /a ratio or a bound/],
  ])('%j is excluded with the reason', (more, reason) => {
    const { predicted, excluded } = predictedOf(more);
    expect(predicted).toBeNull();
    expect(excluded).toMatch(reason);
  });
});

describe('measurements of a file', () => {
  it('name the place of a fault', () => {
    expect(() => parseMeasurements('op,size\nmap,1G', 'f')).toThrow(
      /^f:1: expected a column backing/,
    );
    const short = 'op,size,backing,seconds\nmap,1G,thp';
    expect(() => parseMeasurements(short, 'f')).toThrow(/^f:2: expected 4 cells/);
    expect(() => parseMeasurements('[{"id":"x"}]', 'f')).toThrow(/^f: \[0\]\.op/);
  });
});
