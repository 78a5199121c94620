/** A host as a YAML or JSON file describes it; it says what a `machine` line may say, at length. */
import { InputError } from '@pinfold/base';
import { readMachineLine, type MachineLine } from '@pinfold/scenario';
import { parse } from 'yaml';
import * as z from 'zod';
import { reservedRegions } from './reserved-regions.ts';

const word = z.union([z.string(), z.number()]);
const flag = z.boolean();

const schema = z.strictObject({
  kernel: word.optional(),
  memory: word.optional(),
  page: word.optional(),
  iommu: z
    .strictObject({
      kind: z.string().optional(),
      width: z.number().int().optional(),
      reserved: z.union([z.string(), z.array(z.string())]).optional(),
    })
    .optional(),
  pools: z.record(z.string(), word).optional(),
  groups: z
    .record(
      z.string(),
      z.strictObject({
        devices: z.array(z.string()).default([]),
        'host-driven': z.array(z.string()).default([]),
      }),
    )
    .optional(),
  bars: z.record(z.string(), z.record(z.string(), word)).optional(),
  parameters: z.record(z.string(), z.union([word, flag])).optional(),
  thp: z.string().optional(),
  shmem: z.string().optional(),
  memlock: word.optional(),
  user: z.enum(['root', 'plain']).optional(),
});

/** What a host file says, as read. */
type HostFacts = z.infer<typeof schema>;

/**
 * Reads a host file.
 *
 * @param text YAML; JSON is YAML too
 * @param place its name, for messages
 * @returns what it says of the machine
 * @throws {InputError} with the path of the first fault
 */
export function parseHost(text: string, place: string): MachineLine {
  const result = schema.safeParse(parsedYaml(text, place));
  if (!result.success) {
    const [issue] = result.error.issues;
    const path = issue.path.map(String).join('.');
    const got = issue.message.replace(/^Invalid input: /, '');
    throw new InputError(`${place}: ${path || 'file'}`, 'a host as `pinfold host` prints it', got);
  }
  const facts = result.data;
  const line = readMachineLine(wordsOf(facts), place);
  const reserved = facts.iommu?.reserved;
  if (reserved === undefined) return line;
  const lines = typeof reserved === 'string' ? reserved : reserved.join('\n');
  return { ...line, resv: reservedRegions(lines, `${place}: iommu.reserved`).ranges };
}

/** The words of a `machine` line that say the same. */
function wordsOf(facts: HostFacts): string[] {
  const words: string[] = [];
  const say = (key: string, value: string | number | undefined): void => {
    if (value !== undefined) words.push(`${key}=${value}`);
  };
  say('kernel', facts.kernel);
  say('memory', facts.memory);
  say('page', facts.page);
  say('iommu', facts.iommu?.kind);
  say('aw', facts.iommu?.width);
  for (const [size, pages] of Object.entries(facts.pools ?? {})) say(`pool${size}`, pages);
  for (const [name, group] of Object.entries(facts.groups ?? {})) {
    const all = [...group.devices, ...group['host-driven'].map((device) => `!${device}`)];
    say(`group.${name}`, all.join(','));
  }
  for (const [dev, bars] of Object.entries(facts.bars ?? {}))
    for (const [bar, size] of Object.entries(bars)) say(`bar.${dev}.${bar}`, size);
  for (const [name, value] of Object.entries(facts.parameters ?? {}))
    say(`param.${name}`, typeof value === 'boolean' ? (value ? 'Y' : 'N') : value);
  say('thp', facts.thp);
  say('shmem', facts.shmem);
  say('memlock', facts.memlock);
  say('user', facts.user);
  return words;
}

function parsedYaml(text: string, place: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    const got = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new InputError(place, 'YAML or JSON', got);
  }
}
