/** What people have in their hands, and the answer that one command gives: `cases`, each with its right answer in its first lines. */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { pinfold } from './pinfold.ts';

interface Explained {
  readonly explanations: readonly {
    readonly line: number;
    readonly errno: string | null;
    readonly at?: string;
    readonly sentences: readonly string[];
  }[];
  readonly standIn?: string;
  readonly assumedMachine?: string;
  readonly fitted?: readonly string[];
  readonly stopped?: string;
}

async function explained(name: string, ...flags: string[]): Promise<Explained> {
  const file = fileURLToPath(new URL(`cases/${name}`, import.meta.url));
  const { stdout } = await pinfold('explain', '--json', ...flags, file);
  return JSON.parse(stdout) as Explained;
}

const at = ({ explanations }: Explained, line: number): Explained['explanations'][number] => {
  const found = explanations.find((one) => one.line === line);
  if (!found) throw new Error(`nothing is said of line ${line}`);
  return found;
};

describe('the machine of a case', () => {
  test('a reserved range in the way of a BAR', async () => {
    const seen = await explained('amd-ht.scn');
    expect(at(seen, 9)).toMatchObject({ errno: 'EINVAL', at: 'vfio_iommu_iova_dma_valid' });
    expect(at(seen, 9).sentences.join(' ')).toContain('0xfef00000 to 0xfcffffffff');
    expect(at(seen, 10).errno).toBeNull();
    expect(seen.assumedMachine).toBeUndefined();
  });

  test('a BAR above a 39-bit IOMMU', async () => {
    const { errno, sentences } = at(await explained('aw39-bar.scn'), 11);
    expect(errno).toBe('EINVAL');
    expect(sentences.join(' ')).toMatch(
      /needs 46 address bits, the IOMMU has 39: .+limit=39.+peer-to-peer/,
    );
  });

  test('a guest that is larger than the default machine', async () => {
    const seen = await explained('big-guest.scn');
    expect(seen.explanations.map(({ line, errno }) => [line, errno])).toEqual([
      [7, null],
      [8, null],
    ]);
    expect(seen.fitted).toEqual(['32 GiB of memory']);
  });

  test('a pool that is too small', async () => {
    const seen = await explained('hugepool-reserve.scn');
    expect(at(seen, 6)).toMatchObject({ errno: 'ENOMEM', at: 'hugetlb_acct_memory' });
    expect(at(seen, 6).sentences.join(' ')).toMatch(/reserves 512 huge pages.+has 100 free/);
    expect(seen.stopped).toContain(':7:');
  });

  test('no IOMMU', async () => {
    const seen = await explained('no-iommu.scn');
    expect(seen.explanations.map(({ line, errno }) => [line, errno])).toEqual([[8, 'ENOTTY']]);
    expect(at(seen, 8).sentences.join(' ')).toContain('physical addresses');
  });

  test('persistent memory', async () => {
    const seen = await explained('fsdax.scn');
    for (const line of [7, 8]) {
      expect(at(seen, line)).toMatchObject({ errno: 'EOPNOTSUPP', at: 'vaddr_get_pfns' });
      expect(at(seen, line).sentences.join(' ')).toContain('devdax');
    }
    expect(at(seen, 10).errno).toBeNull();
  });

  test('a limit that does not hold for root', async () => {
    const { errno, sentences } = at(await explained('memlock-root.scn'), 7);
    expect(errno).toBeNull();
    expect(sentences.join(' ')).toMatch(/CAP_IPC_LOCK.+dropcap.+ENOMEM/);
  });

  test('a BAR of 128 GiB', async () => {
    const seen = await explained('bar-128g.scn', '--kernel', '6.18');
    expect(seen.fitted).toEqual(['BAR 2 of ivsh1g with 128 GiB']);
    expect(seen.explanations.filter(({ errno }) => errno !== null)).toEqual([]);
  });

  test.each([
    ['5.4', '6.1'],
    ['5.10.112', '6.1'],
    ['5.15', '6.1'],
    ['6.8.12-2-pve', '6.12'],
    ['6.11', '6.12'],
    ['6.17.0-14-generic', '6.16'],
  ])('Linux %s runs as %s, and says so', async (name, series) => {
    const { standIn } = await explained('hugepool-reserve.scn', '--kernel', name);
    expect(standIn).toMatch(new RegExp(`^${name} is not modelled: ${series} answers for it`));
  });

  test.each(['6.1.103', '6.12.5-200.fc41.x86_64'])('Linux %s is modelled', async (name) => {
    expect((await explained('hugepool-reserve.scn', '--kernel', name)).standIn).toBeUndefined();
  });
});
