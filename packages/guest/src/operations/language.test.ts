import { InputError } from '@pinfold/base';
import { describe, expect, it } from 'vitest';
import { ops, parseScenario } from './index.ts';

const A = 'mmap name=A kind=anon size=4M';
const MAP = 'map iova= va= size= [flags=] [argsz=] [from=]';
const TERM =
  'a number, decimal or 0x..., with or without K, M, G, T or P (4 KiB pages), or a region such as A, A.end or A.len';

/** The operations of a scenario with one region. */
function operation(line: string): unknown {
  const steps = parseScenario(`${A}\n${line}`, 'x.scn').steps;
  return steps[1].evaluate(new Map([['A', { va: 0x10_0000_0000n, size: 4n << 20n }]]));
}

describe('a scenario', () => {
  const text = [
    '# a comment',
    'title  two   maps # and a comment',
    '',
    '  open type=v2   # behind a step',
    '\tmmap name=A kind=file path=/tmp/a#b size=4M\r',
    'info',
  ].join('\n');

  it('has steps with their lines, texts and arguments', () => {
    const { title, layout, steps, file } = parseScenario(text, 'x.scn');
    expect({ title, layout, file }).toEqual({ title: 'two maps', layout: true, file: 'x.scn' });
    expect(steps).toMatchObject([
      { line: 4, text: 'open type=v2', op: 'open', modelled: true, arguments: { type: 'v2' } },
      {
        ...{ line: 5, text: 'mmap name=A kind=file path=/tmp/a#b size=4M', op: 'mmap' },
        arguments: { name: 'A', kind: 'file', path: '/tmp/a#b', size: '4M' },
      },
      { line: 6, text: 'info', op: 'info', arguments: {} },
    ]);
  });

  it('may be given as lines', () => {
    expect(parseScenario(text.split('\n'), 'x').steps).toHaveLength(3);
  });

  it('has no layout with #nolayout', () => {
    expect(parseScenario('info\n#nolayout', 'x').layout).toBe(false);
  });

  it('may be empty', () => {
    const nothing = { file: 'x', title: '', layout: true, machine: {}, audit: null, steps: [] };
    expect(parseScenario('', 'x')).toEqual(nothing);
  });

  it('may name the reference and the kernel of an audit', () => {
    expect(parseScenario('audit against=batched', 'x').audit).toEqual({ against: 'batched' });
    const { audit } = parseScenario('audit against=batched kernel=6.16', 'x');
    expect(audit).toEqual({ against: 'batched', kernel: '6.16' });
    expect(() => parseScenario('audit kernel=6.16', 'x')).toThrow('audit against=ALGORITHM');
  });
});

describe('operations', () => {
  it.each<[string, object]>([
    ['open type=v1', { op: 'open', type: 'v1', dev: 'edu' }],
    ['open type=nesting dev=ivsh16', { op: 'open', type: 'nesting', dev: 'ivsh16' }],
    ['setiommu type=3', { op: 'setiommu', type: 3 }],
    ['opencontainer', { op: 'opencontainer' }],
    ['opencontainer name=B', { op: 'opencontainer', name: 'B' }],
    ['container name=B', { op: 'container', name: 'B' }],
    ['closecontainer', { op: 'closecontainer' }],
    ['opengroup dev=edu', { op: 'opengroup', dev: 'edu' }],
    ['setcontainer dev=edu', { op: 'setcontainer', dev: 'edu' }],
    ['groupstatus dev=edu', { op: 'groupstatus', dev: 'edu' }],
    ['closegroup dev=edu', { op: 'closegroup', dev: 'edu' }],
    ['extension number=3', { op: 'extension', number: 3 }],
    ['info argsz=24', { op: 'info', argsz: 24 }],
    ['addext', { op: 'addext', dev: 'ext0' }],
    ['delext dev=ext1 keepfd=1', { op: 'delext', dev: 'ext1', keepfd: true }],
    ['closedev dev=ext2', { op: 'closedev', dev: 'ext2' }],
    [
      'pin iova=A+2K n=-1 prot=-1 times=3 from=kthread forget=1',
      {
        ...{ op: 'pin', dev: 'ext0', iova: 0x10_0000_0800n, n: -1, prot: -1, times: 3 },
        ...{ from: 'kthread', null: false, forget: true },
      },
    ],
    [
      'pin iova=0 dev=ext1 prot=w null=1',
      {
        ...{ op: 'pin', dev: 'ext1', iova: 0n, n: 1, prot: 2, times: 1 },
        ...{ from: 'process', null: true, forget: false },
      },
    ],
    [
      'unpin iova=4K n=2P',
      {
        ...{ op: 'unpin', dev: 'ext0', iova: 4096n, n: 8192, times: 1 },
        ...{ from: 'process', forget: false },
      },
    ],
    [
      'pinlist iovas=4K,A prot=0',
      { op: 'pinlist', dev: 'ext0', iovas: [4096n, 0x10_0000_0000n], prot: 0 },
    ],
    ['unpinlist iovas=1 dev=ext1', { op: 'unpinlist', dev: 'ext1', iovas: [1n] }],
    [
      'dmarw iova=4K len=16 write=1 from=child',
      {
        ...{ op: 'dmarw', dev: 'ext0', iova: 4096n, len: 16, write: true, byte: 0x41 },
        ...{ from: 'child', null: false },
      },
    ],
    ['extmode keep=1', { op: 'extmode', dev: 'ext0', unmap: 'all', k: 0, keep: true }],
    ['extmode unmap=skip k=3', { op: 'extmode', dev: 'ext0', unmap: 'skip', k: 3, keep: false }],
    ['poke va=A size=4K byte=7', { op: 'poke', va: 0x10_0000_0000n, size: 4096n, byte: 7 }],
    ['peek va=A size=16', { op: 'peek', va: 0x10_0000_0000n, size: 16n }],
    ['pcicmd dev=ivsh16 val=6', { op: 'pcicmd', dev: 'ivsh16', val: 6 }],
    [
      'mmap name=B kind=anon size=2M',
      { op: 'mmap', name: 'B', kind: 'anon', size: 2n << 20n, prot: 'rw', flags: [] },
    ],
    [
      'mmap name=B kind=memfd of=A flags=private,filled prot=none size=1P addr=A.end',
      {
        ...{ op: 'mmap', name: 'B', kind: 'memfd', of: 'A', size: 4096n, prot: '' },
        ...{ flags: ['private', 'filled'], addr: 0x10_0040_0000n },
      },
    ],
    [
      'touch va=A size=A.len',
      { op: 'touch', va: 0x10_0000_0000n, size: 4n << 20n, mode: 'w', stride: 4096n },
    ],
    [
      'touch va=A pages=0,2,9 mode=r',
      {
        ...{ op: 'touch', va: 0x10_0000_0000n, size: 40960n, mode: 'r', stride: 4096n },
        pages: [0, 2, 9],
      },
    ],
    [
      'touch va=A size=1M order=rand seed=7 stride=64K',
      {
        ...{ op: 'touch', va: 0x10_0000_0000n, size: 1n << 20n, mode: 'w', stride: 65536n },
        ...{ order: 'rand', seed: 7 },
      },
    ],
    ['munmap va=A size=1P', { op: 'munmap', va: 0x10_0000_0000n, size: 4096n }],
    [
      'mprotect va=A size=1P prot=r',
      { op: 'mprotect', va: 0x10_0000_0000n, size: 4096n, prot: 'r' },
    ],
    [
      'madvise va=A size=1P advice=collapse',
      { op: 'madvise', va: 0x10_0000_0000n, size: 4096n, advice: 'collapse' },
    ],
    [
      'map iova=1M va=A size=1P',
      { op: 'map', iova: 1n << 20n, va: 0x10_0000_0000n, size: 4096n, flags: 3, argsz: 32 },
    ],
    [
      'map iova=0 va=1 size=2 flags=0x80000003 argsz=24',
      { op: 'map', iova: 0n, va: 1n, size: 2n, flags: 0x80000003, argsz: 24 },
    ],
    ['map iova=0 va=0 size=0 from=child', expect.objectContaining({ from: 'child' }) as object],
    ['map iova=0 va=0 size=0 flags=vaddr', expect.objectContaining({ flags: 4 }) as object],
    ['unmap iova=0 size=1', { op: 'unmap', iova: 0n, size: 1n, flags: 0, argsz: 24 }],
    [
      'unmap iova=0 size=0 flags=all,vaddr',
      { op: 'unmap', iova: 0n, size: 0n, flags: 6, argsz: 24 },
    ],
    [
      'unmap iova=0 size=512K flags=bitmap',
      {
        ...{ op: 'unmap', iova: 0n, size: 524288n, flags: 1, argsz: 48 },
        ...{ pgsize: 4096n, bmsize: 16n },
      },
    ],
    [
      'dirty what=start',
      {
        ...{ op: 'dirty', flags: 1, iova: 0n, size: 0n },
        ...{ pgsize: 4096n, bmsize: 8n, argsz: 8 },
      },
    ],
    [
      'dirty what=get iova=1M size=260K pgsize=4K',
      {
        ...{ op: 'dirty', flags: 4, iova: 1n << 20n, size: 266240n },
        ...{ pgsize: 4096n, bmsize: 16n, argsz: 48 },
      },
    ],
    [
      'dirty what=3 bmsize=4',
      expect.objectContaining({ flags: 3, argsz: 8, bmsize: 4n }) as object,
    ],
    ['memlock bytes=5M', { op: 'memlock', bytes: 5n << 20n }],
    ['sysfs path=/sys/a val=never', { op: 'sysfs', path: '/sys/a', val: 'never' }],
  ])('%s', (line, expected) => {
    expect(operation(line)).toEqual(expected);
  });
});

describe('what is wrong', () => {
  it.each<[string, string, string]>([
    ['opne type=v2', '', `one of ${[...ops.keys()].join(', ')}, got 'opne'`],
    ['=', '', `one of ${[...ops.keys()].join(', ')}, got '='`],
    ['map iova=0 size=1', '', `${MAP}, got no va=`],
    ['map iova=0 va=0 size=1 colour=red', '', `${MAP}, got 'colour=red'`],
    ['map iova=0 va=0 size=1 rw', '', `${MAP}, got 'rw'`],
    ['map iova=0 va=0 size=1 __proto__=1', '', `${MAP}, got '__proto__=1'`],
    ['closecontainer now=1', '', "closecontainer, got 'now=1'"],
    ['map iova=0 iova=1 va=0 size=1', '', "iova= once, got a second 'iova=1'"],
    ['map iova=0 va=0 size=4X', ': size', `${TERM}, got '4X'`],
    ['map iova=0 va=0 size=', ': size', `${TERM}, got ''`],
    [
      'map iova=0 va=0x10000000000000000 size=1',
      ': va',
      "a value from 0 to 0xffffffffffffffff, got '0x10000000000000000', which is 0x10000000000000000",
    ],
    [
      'map iova=4K-8K va=0 size=1',
      ': iova',
      "a value from 0 to 0xffffffffffffffff, got '4K-8K', which is -0x1000",
    ],
    [
      'map iova=0 va=0 size=1 argsz=4G',
      ': argsz',
      "a value from 0 to 0xffffffff, got '4G', which is 0x100000000",
    ],
    ['pin iova=0 n=2147483648', ': n', 'a value from 0 to 0x7fffffff, got'],
    ['pin iova=0 n=-2147483649', ': n', 'a value from 0 to 0x80000000, got'],
    ['pin iova=0 prot=x', ': prot', "letters of r and w, or a number, got 'x'"],
    ['dmarw iova=0 len=1 write=2', ': write', "one of 0, 1, got '2'"],
    ['map iova=0 va=0 size=1 flags=x', ': flags', "rw, r, w, vaddr or a number, got 'x'"],
    ['map iova=0 va=0 size=1 flags=', ': flags', "rw, r, w, vaddr or a number, got ''"],
    ['open type=v3', ': type', "one of v2, v1, nesting, got 'v3'"],
    ['open type=v2 dev=', ': dev', 'a text, got nothing'],
    ['mprotect va=0 size=1 prot=rr', ': prot', "none, or letters of r, w and x, got 'rr'"],
    [
      'mmap name=B kind=rom size=1',
      ': kind',
      "one of anon, huge2m, huge1g, memfd, memfd2m, memfd1g, file, bar, fsdax, devdax, got 'rom'",
    ],
    [
      'mmap name=B kind=anon size=1 flags=private,private',
      ': flags',
      "each word once, got 'private' twice",
    ],
    [
      'mmap name=0B kind=anon size=1',
      ': name',
      "a name of letters, digits and _ that begins with a letter, got '0B'",
    ],
    ['touch va=0 size=1 stride=0', ': stride', "more than 0, got '0'"],
    ['map iova=0 va=B size=1', '', "a region that is mapped before this line (A), got 'B'"],
    [
      'mmap name=A kind=anon size=1',
      '',
      "a name that no other region has, got 'A', which line 1 maps",
    ],
    ['touch va=A', '', 'size= or pages=, got neither'],
    ['touch va=A size=1 order=rand', '', 'seed= with order=rand, got no seed='],
    ['mmap name=B kind=file size=1', '', 'path= with kind=file, got no path='],
    ['mmap name=B kind=bar size=1 dev=edu', '', 'bar= with kind=bar, got no bar='],
    ['title one\ntitle two', '', 'one title, got a second'],
  ])('%s', (line, argument, message) => {
    const at = line.startsWith('title') ? 3 : 2;
    expect(() => parseScenario(`${A}\n${line}`, 'x.scn')).toThrow(InputError);
    expect(() => parseScenario(`${A}\n${line}`, 'x.scn')).toThrow(
      `x.scn:${at}${argument}: expected ${message}`,
    );
  });

  it('is a region before its mmap', () => {
    expect(() => parseScenario(`touch va=A size=4K\n${A}`, 'x.scn')).toThrow(
      "x.scn:1: expected a region that is mapped before this line (none is), got 'A', which line 2 maps",
    );
    expect(() => parseScenario('mmap name=A kind=anon size=A.len', 'x.scn')).toThrow(
      "x.scn:1: expected a region that is mapped before this line (none is), got 'A', which line 1 maps",
    );
  });

  it.each([
    ['touch va=0 size=1 stride=A-A', ": stride: expected more than 0, got 'A-A'"],
    [
      'map iova=0-A va=0 size=1',
      ": iova: expected a value from 0 to 0xffffffffffffffff, got '0-A'",
    ],
  ])('%s', (line, message) => {
    expect(() => operation(line)).toThrow(message);
  });
});

describe('an op that is not modelled', () => {
  it.each(['bench va=A iova=4G size=4M reps=15 warm=2'])(
    'is read, and refused when it is to be done: %s',
    (line) => {
      const step = parseScenario(`${A}\n${line}`, 'x.scn').steps[1];
      const op = line.split(' ')[0];
      expect(step).toMatchObject({ op, modelled: false });
      expect(() => step.evaluate(new Map())).toThrow(
        new InputError('x.scn:2', 'an op that is modelled', `${op}, which is not modelled yet`),
      );
    },
  );

  it('has its own arguments', () => {
    expect(() => parseScenario('bench va=0 iova=0', 'x.scn')).toThrow(
      'x.scn:1: expected bench va= iova= size= [reps=] [warm=], got no size=',
    );
  });
});
