/** A container made of an image: what the store keeps of it, in `containers/ID/container.json`. */

export interface InstanceVolume {
  /** Of the volume in the store. */
  readonly name: string;
  /** Goes with the container: nobody has named it. */
  readonly anonymous: boolean;
}

export interface Instance {
  readonly id: string;
  /** `sha256:…`: of the image's configuration. */
  readonly image: string;
  /** What was asked for, if it was a name. */
  readonly reference: string;
  /** Chain ids of the layers below the writable one, bottom to top: those that must not go before it. */
  readonly layers: readonly string[];
  /** What is run, entrypoint included. */
  readonly command: readonly string[];
  /** RFC 3339. */
  readonly created: string;
  /** By name, such as `SIGTERM`. */
  readonly stopSignal: string;
  readonly volumes: readonly InstanceVolume[];
  readonly terminal: boolean;
  /** Keeps its standard input open in the background. */
  readonly interactive: boolean;
  /** Deleted when its program has exited. */
  readonly remove: boolean;
  readonly log: LogSettings;
  readonly labels: Readonly<Record<string, string>>;
}

export interface LogSettings {
  readonly driver: 'json-file' | 'none';
  /** Bytes after which a new file is begun; 0 for no limit. */
  readonly maxSize: number;
  /** Files that are kept, the current one included. */
  readonly maxFile: number;
}
