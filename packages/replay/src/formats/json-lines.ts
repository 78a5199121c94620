/**
 * pinfold's own format, for programs: one call per line, its numbers as text in the scenario language's
 * way.
 *
 *     {"op":"map","iova":"0x0","va":"0x7f0000000000","size":"0x200000","errno":null,"us":41}
 */
import type { LogFormat } from '../log/entries.ts';
import { MalformedLine } from '../log/entries.ts';
import { u64 } from '../log/numbers.ts';

const US = 1e6;
/** Access in letters, as in a scenario. */
const FLAGS: Readonly<Record<string, number>> = { rw: 3, r: 1, w: 2, vaddr: 4 };

function parsed(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    throw new MalformedLine('the line begins as JSON and is none');
  }
}

/** The format. */
export const jsonLines: LogFormat = {
  name: 'JSON lines',
  open: () => ({
    read(line, sink) {
      if (!/^\s*\{\s*"op"\s*:/.test(line)) return false;
      const values = parsed(line);
      const number = (name: string): bigint => u64(String(values[name]), name);
      const { op, errno, us, container } = values;
      const facts = {
        ...(typeof errno === 'string' || errno === null ? { errno } : {}),
        ...(typeof us === 'number' && { seconds: us / US }),
        ...(typeof container === 'string' && { container }),
      };
      const backend = values.backend === 'iommufd' ? 'iommufd' : 'type1';
      const word = typeof values.flags === 'string' ? values.flags : '';
      const flags = (otherwise: number): number =>
        values.flags === undefined ? otherwise : (FLAGS[word] ?? Number(number('flags')));
      if (op === 'map') {
        const range = { iova: number('iova'), va: number('va'), size: number('size') };
        sink.call({ op, backend, ...range, flags: flags(3), ...facts });
      } else if (op === 'unmap') {
        sink.call({
          op,
          backend,
          iova: number('iova'),
          size: number('size'),
          flags: flags(0),
          ...facts,
        });
      } else if (op === 'setiommu') sink.call({ op, type: Number(number('type')), ...facts });
      else
        throw new MalformedLine(
          `op is ${JSON.stringify(op)}, and map, unmap or setiommu are known`,
        );
      return true;
    },
  }),
};
