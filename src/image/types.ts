/** Documents of the OCI image specification 1.1, in its own words; Docker's schema 2 has the same form. */

/** descriptor.md: what is meant, and what it must be. */
export interface Descriptor {
  readonly mediaType: string;
  /** `algorithm:hex`. */
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
  readonly urls?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  /** The content itself, in base64. */
  readonly data?: string;
  readonly artifactType?: string;
  readonly platform?: Platform;
}

export interface Platform {
  readonly architecture: string;
  readonly os: string;
  readonly 'os.version'?: string;
  readonly 'os.features'?: readonly string[];
  readonly variant?: string;
}

/** image-index.md */
export interface Index {
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
  readonly annotations: Readonly<Record<string, string>>;
}

/** manifest.md */
export interface Manifest {
  readonly mediaType: string;
  readonly config: Descriptor;
  /** Bottom to top. */
  readonly layers: readonly Descriptor[];
  readonly annotations: Readonly<Record<string, string>>;
}

/** config.md: what a container made of the image is to be. */
export interface ExecutionConfig {
  readonly User?: string;
  /** `port/protocol` */
  readonly ExposedPorts?: readonly string[];
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Volumes?: readonly string[];
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly StopSignal?: string;
}

/** config.md, `history` */
export interface HistoryEntry {
  /** RFC 3339. */
  readonly created?: string;
  readonly author?: string;
  readonly created_by?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

/** config.md. The id of an image is the digest of this document's text. */
export interface ImageConfig {
  readonly created?: string;
  readonly author?: string;
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
  readonly 'os.version'?: string;
  readonly 'os.features'?: readonly string[];
  readonly config: ExecutionConfig;
  /** Digests of the uncompressed layers, bottom to top. */
  readonly diffIds: readonly string[];
  readonly history: readonly HistoryEntry[];
}
