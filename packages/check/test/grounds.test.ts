/** What counterexamples rest on is what the recordings of this repository show. */
import { parseScenario } from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import { describe, expect, it } from 'vitest';
import { grounds, groundsText, RECORDED_RELEASES } from '../src/grounds/grounds.ts';
import { sequenceOf } from '../src/sequence/sequence.ts';
import { manifest } from './recordings.ts';

const files = new Set(manifest.recordings.map(({ file }) => file));

describe('a ground that is said to be recorded', () => {
  const recorded = grounds.flatMap(({ recording }) => (recording === null ? [] : [recording]));

  it.each(Object.entries(RECORDED_RELEASES))('has a recording of %s', (series, release) => {
    expect(release.startsWith(`${series}.`)).toBe(true);
    const missing = recorded.filter((name) => !files.has(`${release}/${name}.json.gz`));
    expect(missing).toEqual([]);
  });
});

/** The grounds of a scenario on a release. */
function textOf(script: string, series: string): string {
  const head = 'open type=v2\nmmap name=A kind=anon size=8P addr=0x4000000000 frames=0x8000x8:3\n';
  return groundsText(sequenceOf(parseScenario(head + script, 'x.scn')), kernelVersion(series));
}

it.each([
  [
    'fork\ntouch va=A size=8P mode=w\nreap\nmap iova=0 va=A size=8P\n',
    '6.18',
    'rests on copy on write of a large folio (recorded on 6.18.15, more/cow03-thp-reap-map-rw)',
  ],
  [
    'fail what=map n=1\nmap iova=0 va=A size=8P\n',
    '6.16',
    'rests on a call that fails on demand (model only)',
  ],
  [
    'map iova=0 va=A size=8P\n',
    '6.16',
    'rests on plain maps and unmaps, which every recording has',
  ],
  [
    'map iova=0 va=A size=2P\npin dev=ext0 iova=0x1000 n=2\n',
    '7.2',
    'rests on pages of devices across mappings (recorded on 7.2.12, extpin/x02-cross); ' +
      'pages that devices pin (recorded on 7.2.12, extpin/x01-one)',
  ],
])('%j on %s %s', (script, series, expected) => {
  expect(textOf(script, series)).toBe(expected);
});
