import { describe, expect, it } from 'vitest';
import { parseMeasurements } from '../published/own-rows.ts';
import { publishedRecords } from '../published/records.ts';
import { textStyle } from '../style.ts';
import { calibrate, profile } from './calibration.ts';
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
    const own = calibrate({ fit: parseMeasurements(csv, 'own.csv'), own: true });
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
