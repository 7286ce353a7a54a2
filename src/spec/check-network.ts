/** Checks of `linux.netDevices`. */
import { pointer } from '../base/pointer.ts';
import { findNamespace, invalid, quoted } from './refuse.ts';
import type { Spec } from './types.ts';

/** IFNAMSIZ, with the NUL. */
const NAME_SIZE = 16;
/** A template ends so: the kernel's own form for 'the first number that is free'. */
const TEMPLATE = /%d$/;

export function checkNetDevices(spec: Spec): void {
  const { netDevices } = spec.linux;
  if (netDevices === undefined) return;
  const names = Object.keys(netDevices);
  if (names.length === 0) return;
  const place = '/linux/netDevices';
  if (findNamespace(spec, 'network') === undefined) invalid(place, 'needs a namespace of type network in linux.namespaces');
  const taken = new Map<string, string>();
  for (const name of names) {
    const entry = pointer(place, name);
    checkName(name, name, entry);
    const given = netDevices[name]?.name;
    const target = given ?? name;
    const targetPlace = given === undefined ? entry : `${entry}/name`;
    if (TEMPLATE.test(target)) {
      checkName(target.replace(TEMPLATE, '0'), target, targetPlace);
      continue;
    }
    checkName(target, target, targetPlace);
    const other = taken.get(target);
    if (other !== undefined) invalid(targetPlace, `${quoted(target)} is the name of ${other} in the container, too`);
    taken.set(target, name);
  }
}

/** What the kernel takes for the name of a device, dev_valid_name(). @param shown what stands in the configuration */
function checkName(name: string, shown: string, place: string): void {
  if (name.length >= NAME_SIZE || shown.length >= NAME_SIZE) invalid(place, `at most ${NAME_SIZE - 1} bytes, found ${quoted(shown)}`);
  if (name === '.' || name === '..' || /[/:%\s]/.test(name)) invalid(place, `${quoted(shown)} cannot be the name of a network device`);
}
