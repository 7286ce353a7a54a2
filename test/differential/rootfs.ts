/** The root file systems of the differential test, and the changes that a configuration asks for. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import type { Place } from './configs.ts';

type Preparation = (place: Place) => void;

const inside = (path: string, { directory }: Place): string => join(directory, 'rootfs', path);

export const fileSystem = {
  file:
    (path: string, text: string, mode = 0o644): Preparation =>
    (place) => {
      fs.mkdirSync(dirname(inside(path, place)), { recursive: true });
      fs.writeFileSync(inside(path, place), text);
      fs.chmodSync(inside(path, place), mode);
    },
  executable: (path: string, text: string): Preparation => fileSystem.file(path, text, 0o755),
  link:
    (path: string, target: string): Preparation =>
    (place) =>
      fs.symlinkSync(target, inside(path, place)),
  /** One end of a pair, with an address. */
  interface: (place: Place): void => {
    execFileSync('ip', ['link', 'add', place.interface, 'type', 'veth', 'peer', 'name', `${place.interface}p`]);
    execFileSync('ip', ['address', 'add', '192.0.2.1/24', 'dev', place.interface]);
  },
  /** A directory, or everything, with this owner. */
  give:
    (path: string, uid: number, gid: number, mode?: number): Preparation =>
    (place) => {
      const top = inside(path, place);
      fs.mkdirSync(top, { recursive: true });
      if (mode !== undefined) fs.chmodSync(top, mode);
      for (const name of ['', ...fs.readdirSync(top, { recursive: true, encoding: 'utf8' })]) fs.lchownSync(join(top, name), uid, gid);
    },
};

/** A new bundle without its configuration: the program, a few files, and `data` to bind. */
export function makeBundle(directory: string, probe: string): void {
  for (const name of ['bin', 'dev', 'etc', 'mnt', 'proc', 'sys', 'tmp']) fs.mkdirSync(join(directory, 'rootfs', name), { recursive: true });
  fs.chmodSync(join(directory, 'rootfs/tmp'), 0o1777);
  fs.copyFileSync(probe, join(directory, 'rootfs/bin/probe'));
  fs.writeFileSync(join(directory, 'rootfs/.differential'), '');
  fs.writeFileSync(join(directory, 'rootfs/etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n');
  fs.writeFileSync(join(directory, 'rootfs/etc/group'), 'root:x:0:\nuser:x:1000:\n');
  fs.mkdirSync(join(directory, 'data/sub'), { recursive: true });
  fs.writeFileSync(join(directory, 'data/file'), 'data\n');
}
