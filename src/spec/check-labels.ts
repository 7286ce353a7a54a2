/** Checks of labels: `process.apparmorProfile`, `process.selinuxLabel` and `linux.mountLabel`. */
import { invalid, unsupported } from './refuse.ts';
import type { Process, Spec } from './types.ts';

/** Which security modules the kernel enforces labels of. */
export interface SecurityFacts {
  readonly apparmor: boolean;
  readonly selinux: boolean;
}

const NEITHER: SecurityFacts = { apparmor: false, selinux: false };

/** A kernel without the security module would leave the process unconfined: the label must not be lost without a word. */
export function checkLabels({ apparmorProfile, selinuxLabel }: Process, facts: SecurityFacts = NEITHER, pointer: string): void {
  if (apparmorProfile !== undefined && !facts.apparmor)
    unsupported(`${pointer}/apparmorProfile`, 'not supported: AppArmor is not enabled in this kernel');
  if (selinuxLabel !== undefined && !facts.selinux) unsupported(`${pointer}/selinuxLabel`, 'not supported: SELinux is not enabled in this kernel');
}

export function checkMountLabel({ linux }: Spec, facts: SecurityFacts = NEITHER): void {
  const { mountLabel } = linux;
  if (mountLabel === undefined) return;
  if (!facts.selinux) unsupported('/linux/mountLabel', 'not supported: SELinux is not enabled in this kernel');
  // It could end the label where an old kernel takes it among other options.
  if (mountLabel.includes('"')) invalid('/linux/mountLabel', 'must not contain a quotation mark');
}
