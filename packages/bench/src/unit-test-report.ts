/**
 * The lines that the published unit test prints, from predicted kernel time, so that they can be laid
 * beside its output on a host. Every time is followed by its interval and profile.
 */
import type { BenchReport, BenchRow } from './bench.ts';

/** The modes of the unit test, by backing. */
const MODES: Readonly<Record<string, string>> = {
  thp: 'MADV_HUGEPAGE',
  '4k': 'MAP_POPULATE',
  'hugetlb-2m': 'HUGETLBFS',
  'hugetlb-1g': 'HUGETLBFS',
};

const GIB = 2 ** 30;

/**
 * A run in the form of `vfio-pci-mem-dma-map`.
 *
 * @param report the run; its rows have predictions
 * @returns lines, ending in a line break
 */
export function unitTestText({ rows }: BenchReport): string {
  const groups = new Map<string, BenchRow[]>();
  for (const row of rows) {
    const name = `${row.kernel}, ${row.backing}`;
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  return [...groups]
    .map(([name, of]) => {
      const mode = MODES[of[0].backing] ?? of[0].backing.toUpperCase();
      return [`# ${name}: predicted, not measured`, `------- AVERAGE (${mode}) --------`]
        .concat(of.flatMap(lines))
        .map((line) => `${line}\n`)
        .join('');
    })
    .join('\n');
}

function lines({ op, bytes, predicted }: BenchRow): string[] {
  if (!predicted) return [];
  const { seconds, low, high, profile } = predicted;
  const rate = (bytes / GIB / seconds).toFixed(1);
  return [
    `VFIO ${op.toUpperCase()} DMA in ${seconds.toFixed(3)} s (${rate} GB/s)`,
    `# ${low.toFixed(3)} to ${high.toFixed(3)} s in 90 %, profile ${profile}`,
  ];
}
