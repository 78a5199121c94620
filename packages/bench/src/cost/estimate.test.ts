import { InputError } from '@pinfold/base';
import { FrameRun } from '@pinfold/mm';
import { describe, expect, it } from 'vitest';
import { textStyle } from '../style.ts';
import { profile } from './calibration.ts';
import { adviceFor, estimateVm, type EstimatedHost, type EstimatedVm } from './estimate.ts';
import { estimateText } from './estimate-report.ts';
import { histogramLayout, parseHistogram } from './histogram.ts';
import { parseHostFile } from './host-file.ts';

const GIB = 2 ** 30;

const vm: EstimatedVm = {
  ...{ name: 'guest', bytes: 128 * GIB, backing: 'thp', runs: null, populated: false },
  ...{ preallocThreads: 0, containers: 1, bars: [] },
};
const host: EstimatedHost = {
  ...{ kernel: '6.16', hvo: false, memlock: 8 * GIB, capIpcLock: false, entryLimit: 65535 },
};
/** No guest of a file names a layout. */
const noLayout = (path: string): string => {
  throw new InputError(path, 'no layout', 'one');
};
const intel = profile('jordan-2022-intel');

describe('an estimate', () => {
  it('is split into parts that add up, inside its interval', () => {
    const { map, unmap, populate, start } = estimateVm(vm, host, intel);
    for (const time of [map, unmap]) {
      const sum = Object.values(time.parts).reduce((a, b) => a + b, 0);
      expect(sum).toBeCloseTo(time.seconds, 9);
      expect(time.low).toBeLessThan(time.seconds);
      expect(time.high).toBeGreaterThan(time.seconds);
    }
    expect(map.parts.clearing).toBeGreaterThan(20);
    expect(unmap.parts.clearing).toBe(0);
    expect(populate.seconds).toBe(0);
    expect(start.seconds).toBe(map.seconds);
  });

  it('states mappings, locked memory and what the limit lacks', () => {
    const two = estimateVm({ ...vm, containers: 2, bars: [GIB, GIB] }, host, intel);
    expect(two.entries).toEqual({ needed: 4, limit: 65535 });
    expect(two.locked).toEqual({
      ...{ container: 128 * GIB, process: 256 * GIB, limit: 8 * GIB, missing: 248 * GIB },
    });
    const able = estimateVm(vm, { ...host, capIpcLock: true }, intel);
    expect(able.locked.missing).toBe(0);
  });

  it('clears once, however many containers map it', () => {
    const one = estimateVm(vm, host, intel).map.parts;
    const three = estimateVm({ ...vm, containers: 3 }, host, intel).map.parts;
    expect(three.clearing).toBeCloseTo(one.clearing, 9);
    expect(three.pinning).toBeCloseTo(3 * one.pinning, 9);
  });

  it('advises by whole estimates: populating THP with threads first hurts, hugetlb helps', () => {
    const change = (backing: string): number => {
      const advice = adviceFor({ ...vm, backing }, host, intel, '7.2');
      return advice.find(({ change: what }) => what.endsWith('16 threads'))?.saves ?? 0;
    };
    expect(change('thp')).toBeLessThan(-10);
    expect(change('hugetlb-2m')).toBeGreaterThan(15);
  });

  it('without a calibrated profile has an interval of a factor of 2.5', () => {
    const { map } = estimateVm(vm, host, profile('uncalibrated'));
    expect(map.high / map.seconds).toBeCloseTo(2.5, 9);
    expect(map.seconds / map.low).toBeCloseTo(2.5, 9);
  });

  it('never prints a time without its profile and interval', () => {
    const estimates = [estimateVm(vm, host, intel)];
    const guests = [{ estimates, advice: adviceFor(vm, host, intel, '7.2') }];
    const text = estimateText({ profile: intel, host, guests }, textStyle(100));
    expect(text).toContain('profile jordan-2022-intel');
    expect(text).toMatch(/6\.16 +0 s +[\d.]+ s \([\d.]+ s to [\d.]+ s\)/);
    expect(text).toMatch(/16 threads: would cost [\d.]+ s more/);
  });

  it('refuses a size that is no whole number of pages', () => {
    expect(() => estimateVm({ ...vm, bytes: GIB + 4096 }, host, intel)).toThrow(InputError);
  });
});

describe('a histogram of runs', () => {
  it('is read as lengths and counts, or as bpftrace prints it', () => {
    const runs = [
      { npage: 512, count: 3 },
      { npage: 1, count: 10 },
    ];
    expect(parseHistogram('# runs\n4K 10\n2M 3\n', 'f')).toEqual(runs);
    expect(parseHistogram('@runs:\n[4K, 8K)  10 |@@@|\n[2M, 4M)  3 |@|\n', 'f')).toEqual(runs);
    expect(() => parseHistogram('4K ten', 'f')).toThrow(/^f:1: expected a length and a count/);
  });

  it('is read as faults of a recorder: the next one bounds a folio', () => {
    const faults = [
      'ts,utid,addr,error_code',
      '1,7,0x200000,6',
      '2,7,0x400000,6',
      '3,7,0x600000,6',
    ];
    const more = ['4,7,0x601000,6', '5,7,0x602000,6'];
    expect(parseHistogram([...faults, ...more].join('\n'), 'f')).toEqual([
      { npage: 512, count: 2 },
      { npage: 1, count: 3 },
    ]);
    expect(() => parseHistogram('addr\nx', 'f')).toThrow(/^f:2: expected an address/);
  });

  it('makes runs of 2 MiB of THP memory THPs, and the rest small pages', () => {
    const runs = parseHistogram('2M 3\n4K 512\n', 'f');
    const scattered = { backing: '4k', runs: parseHistogram('4K 1', 'f') };
    const mixed = estimateVm({ ...vm, runs }, host, intel).map.seconds;
    const all = estimateVm(vm, host, intel).map.seconds;
    const none = estimateVm({ ...vm, ...scattered }, host, intel).map.seconds;
    expect(Math.abs(mixed / (0.75 * all + 0.25 * none) - 1)).toBeLessThan(0.01);
    const whole = parseHistogram('2M 3', 'f');
    expect(estimateVm({ ...vm, runs: whole }, host, intel).map).toEqual(
      estimateVm(vm, host, intel).map,
    );
  });

  it('lays out runs that do not meet, large ones congruent with their addresses', () => {
    const layout = histogramLayout(parseHistogram('4K 1024\n2M 2\n', 'f'));
    const { frames } = layout.place(0, 2 ** 18);
    const out = new FrameRun();
    let last = -1;
    let small = 0;
    for (let at = 0; at < 2 ** 18; at += out.npage) {
      frames.framesFor(at, 2 ** 18 - at, 0, out);
      expect(out.pfn).toBeGreaterThan(last);
      if (out.npage >= 512) expect((out.pfn - at) % 512).toBe(0);
      else small += out.npage;
      last = out.pfn + out.npage;
    }
    expect(small).toBe(2 ** 17);
  });
});

describe('a host file', () => {
  it('is YAML or JSON, with defaults', () => {
    const file = parseHostFile(
      'vms:\n  - memory: 64G\n    prealloc-threads: 8\nmemlock: 8M\n',
      'h',
      noLayout,
    );
    expect(file.host.memlock).toBe(8 * 2 ** 20);
    expect(file.vms).toEqual([
      {
        ...{ name: 'vm1', bytes: 64 * GIB, backing: '4k', runs: null, populated: true },
        ...{ preallocThreads: 8, containers: 1, bars: [] },
      },
    ]);
    expect(
      parseHostFile('{"vms":[{"memory":"1G","backing":"thp"}]}', 'h', noLayout).vms[0].bytes,
    ).toBe(GIB);
  });

  it('states runs in place, or names a file of them', () => {
    const read = (path: string): string => `# ${path}\n4K 7`;
    const text = 'vms:\n- { memory: 1G, layout: { 2M: 5 } }\n- { memory: 1G, layout: runs.txt }';
    const { vms } = parseHostFile(text, 'h', read);
    expect(vms.map(({ runs }) => runs)).toEqual([
      [{ npage: 512, count: 5 }],
      [{ npage: 1, count: 7 }],
    ]);
  });

  it('names the place of a fault', () => {
    expect(() => parseHostFile('vms: [', 'h', noLayout)).toThrow(/^h:1:\d+: expected YAML or JSON/);
    expect(() => parseHostFile('vms:\n  - memory: 1G\n    backng: thp', 'h', noLayout)).toThrow(
      /^h: vms\.0/,
    );
    expect(() => parseHostFile('vms:\n  - memory: lots', 'h', noLayout)).toThrow(
      /^h: vms\.0\.memory/,
    );
  });
});
