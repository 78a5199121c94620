/** The command that says the same as the form. */
import type { EstimateRequest } from './request.ts';

/**
 * The command line of an estimate.
 *
 * @param request the fields of the form
 * @returns the command; a layout is named as a file
 */
export function commandLine(request: EstimateRequest): string {
  const { memory, backing, populated, containers, bars, kernel, beside, memlock } = request;
  const flags: readonly (readonly [boolean, string])[] = [
    [true, `--memory ${memory}`],
    [true, `--backing ${backing}`],
    [populated === 'yes', '--populated'],
    [/^\d/.test(populated), `--prealloc-threads ${populated}`],
    [containers !== '1', `--containers ${containers}`],
    [bars !== '', `--bar ${bars}`],
    [true, `--kernel ${[kernel, beside].filter((name) => name !== '').join(',')}`],
    [memlock !== '', `--memlock ${memlock}`],
    [request.layout !== '', '--layout runs.txt'],
    [true, `--profile ${request.profile}`],
  ];
  const written = flags.filter(([has]) => has).map(([, flag]) => flag);
  return ['pinfold estimate', ...written].join(' ');
}
