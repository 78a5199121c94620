/**
 * What the checks of RLIMIT_MEMLOCK test.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, vfio_lock_acct; mm/mlock.c do_mlock, 6.16
 */
import { pageNumber } from '@pinfold/base';
import type { CheckExplanation, FailedStep } from './check-explanation.ts';
import type { Detail } from './detail.ts';
import { nameOf, type LiveMappings } from './live-mappings.ts';
import { pagesText } from './units.ts';

const KIB_PER_PAGE = 4;

/** The limit, and where the scenario sets it. */
function limitText(d: Detail, live: LiveMappings): string {
  const limit = d.number('limitPages');
  const where = live.limitLine === null ? '' : `, set in line ${live.limitLine}`;
  return `RLIMIT_MEMLOCK is ${pagesText(limit)}, \`ulimit -l ${limit * KIB_PER_PAGE}\`${where}.`;
}

/** What lets the step pass: a limit, or the capability. */
function remedy(pages: number, live: LiveMappings): string {
  const cap =
    live.capLine === null
      ? 'give the process CAP_IPC_LOCK'
      : `keep CAP_IPC_LOCK, which line ${live.capLine} drops`;
  return `Raise the limit to ${pages * KIB_PER_PAGE} KiB (\`ulimit -l ${pages * KIB_PER_PAGE}\`), or ${cap}.`;
}

/** Memory of the map that another mapping has charged already. */
function chargedTwice({ operation }: FailedStep, live: LiveMappings): string {
  if (operation.op !== 'map') return '';
  const shared = live.sharing(operation.va, operation.size);
  return shared
    ? ` Memory of it is in ${nameOf(shared.mapping)} too, and is charged for both.`
    : '';
}

const overLimit: CheckExplanation['say'] = (d, live, step) => {
  const before = step.lockedPagesBefore;
  const { operation } = step;
  const pinned = d.number('chunkPages') + (d.number('morePages') || 0);
  const more = d.number('lockedVmPages') - before + pinned;
  const charged = `${pagesText(before)} were charged before this step (VmLck)`;
  if (operation.op !== 'map') {
    return `${limitText(d, live)} ${charged}, and it has come to ${pagesText(more)} more. ${remedy(before + more, live)}`;
  }
  const wanted = pageNumber(operation.size);
  const got = d.number('lockedVmPages') - before;
  return (
    `${limitText(d, live)} ${charged}; this map alone needs ${pagesText(wanted)}. It had charged ` +
    `${pagesText(got)} when the limit was met, and gave everything back.` +
    `${chargedTwice(step, live)} ${remedy(before + wanted, live)}`
  );
};

const lockTooMuch: CheckExplanation['say'] = (d, live) => {
  const [limit, locked, wanted] = ['limitPages', 'lockedVmPages', 'npage'].map((name) =>
    d.number(name),
  );
  const what =
    limit === 0
      ? 'With a limit of 0 nothing may be locked.'
      : `${pagesText(locked)} are charged (VmLck), and ${pagesText(wanted)} are to be locked.`;
  return `${limitText(d, live)} ${what} ${remedy(locked + wanted, live)}`;
};

/** The checks of the limit. */
export const memlockChecks: readonly CheckExplanation[] = [
  {
    at: 'vfio_change_dma_owner',
    sees: ['lockedVmPages'],
    say: (d, live) =>
      `The mapping's ${pagesText(d.number('lockedVmPages'))} do not fit into the limit of the process that takes it over. ${limitText(d, live)} ${pagesText(d.number('chargedPages'))} are charged to it already.`,
  },
  { at: 'vfio_pin_pages_remote', sees: ['limitPages'], say: overLimit },
  { at: 'vfio_lock_acct', sees: ['limitPages'], say: overLimit },
  {
    at: 'vfio_lock_acct',
    sees: ['interrupted'],
    say: () =>
      'A fatal signal ended the wait for the mmap lock under which pages are charged. Nothing is pinned or charged.',
  },
  { at: 'do_mlock', sees: ['limitPages'], say: lockTooMuch },
  { at: 'mlock_future_ok', sees: ['limitPages'], say: lockTooMuch },
];
