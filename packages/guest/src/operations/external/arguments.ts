/**
 * Arguments that the ops of emulated devices share.
 *
 * @source README-extpin, "Operations"
 */
import {
  bytes,
  flag,
  needed,
  number,
  optional,
  signed,
  text,
  word,
  type Argument,
} from '@pinfold/scenario';

/** Who makes a call of a device: the process, a kernel thread, or a child that ends right after. */
export type Caller = 'process' | 'kthread' | 'child';

/** The device that is meant unless another is named. */
export const DEV = 'ext0';
/** READ and WRITE. */
export const RW = 3;
/** The device. */
export const dev: Argument<string, false> = optional(text);
/** Who makes the call. */
export const from: { readonly from: Argument<'kthread' | 'child', false> } = {
  from: optional(word('kthread', 'child')),
};
/** Pages of a call. */
export const pages: {
  readonly iova: Argument<bigint, true>;
  readonly n: Argument<number, false>;
} = { iova: needed(bytes), n: optional(signed) };
/** Who calls, how often, and whether the device remembers. */
export const call: {
  readonly dev: Argument<string, false>;
  readonly from: Argument<'kthread' | 'child', false>;
  readonly times: Argument<number, false>;
  readonly forget: Argument<boolean, false>;
} = { dev, ...from, times: optional(number), forget: optional(flag) };
/** The call that is meant unless the line says otherwise. */
export const ONE_CALL: {
  readonly dev: string;
  readonly from: Caller;
  readonly n: number;
  readonly times: number;
  readonly forget: boolean;
} = { dev: DEV, from: 'process', n: 1, times: 1, forget: false };
