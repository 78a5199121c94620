/** Where the addresses of a process end. */
import { MAX_VPN } from './page-table.ts';

/**
 * First virtual page after those of a process: half of what four levels reach, less one page.
 *
 * @source arch/x86/include/asm/page_64_types.h TASK_SIZE_MAX, 6.16
 */
export const TASK_SIZE: number = MAX_VPN / 2 - 1;
