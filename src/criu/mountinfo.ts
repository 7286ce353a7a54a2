/** What the kernel tells about mounts (proc_pid_mountinfo(5)), as much as CRIU has to be told about those of a container. */

interface MountLine {
  readonly id: number;
  /** Of the superblock, `major:minor`. */
  readonly device: string;
  /** Which part of the file system is mounted. */
  readonly root: string;
  readonly point: string;
  /** Of the mount, not of its file system. */
  readonly readonly: boolean;
  readonly type: string;
}

/** File systems that are in many mount namespaces at the same time, and that CRIU mounts itself: a new one is as good. */
const NATIVE = ['proc', 'sysfs', 'mqueue', 'cgroup', 'cgroup2', 'devpts'];

export function parseMounts(text: string): MountLine[] {
  const lines: MountLine[] = [];
  for (const line of text.split('\n')) {
    const [id, , device, root, point, ...rest] = line.split(' ');
    const type = rest[rest.indexOf('-') + 1];
    if (id === undefined || device === undefined || root === undefined || point === undefined || type === undefined) continue;
    const readonly = rest[0]?.split(',').includes('ro') === true;
    lines.push({ id: Number(id), device, root: unescapeOctal(root), point: unescapeOctal(point), readonly, type });
  }
  return lines;
}

/**
 * The mount points in a container of what is the host's: its file system is mounted on the host too, and is not the one that the root is from. CRIU
 * leaves such a mount out of the image, and is told at restore what comes in its place. Sorted, each once.
 */
export function externalMounts(container: readonly MountLine[], host: readonly MountLine[]): string[] {
  const known = new Set(host.map(({ device }) => device));
  const whole = container.find(({ point }) => point === '/');
  const points = container.filter(({ point, device, root, type }) => {
    if (point === '/' || !known.has(device)) return false;
    if (root === '/' && NATIVE.includes(type)) return false;
    return whole?.device !== device || !isBelow(root, whole.root);
  });
  return [...new Set(points.map(({ point }) => point))].sort();
}

/** The mount points of the host below a directory, relative to it; without the directory itself. */
export function mountsBelow(host: readonly MountLine[], directory: string): string[] {
  const points = host.filter(({ point }) => point !== directory && isBelow(point, directory));
  return [...new Set(points.map(({ point }) => (directory === '/' ? point : point.slice(directory.length))))];
}

/**
 * Where mounts really are that were to be at `destinations`, among the mount points that there are: a symbolic link on the way leads elsewhere, but
 * the last name stays. What cannot be told apart is left out.
 */
export function movedMounts(destinations: readonly string[], points: readonly string[]): Map<string, string> {
  const wanted = new Set(destinations);
  const there = new Set(points);
  const strange = [...there].filter((point) => !wanted.has(point));
  const moved = new Map<string, string>();
  for (const destination of wanted) {
    if (there.has(destination)) continue;
    const [first, ...others] = strange.filter((point) => lastName(point) === lastName(destination));
    if (first !== undefined && others.length === 0) moved.set(destination, first);
  }
  return moved;
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf('/'));
}

function isBelow(path: string, directory: string): boolean {
  return directory === '/' || path === directory || path.startsWith(`${directory}/`);
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
