/** The container runtime interface of Kubernetes, as a kubelet speaks it: gRPC over containerd's socket. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { credentials, loadPackageDefinition, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** Its description, which scripts/setup.sh fetches. */
const DIRECTORY = join(import.meta.dirname, '../../build/cri-api/usr/share/gocode/src/k8s.io/cri-api/pkg/apis/runtime/v1');

export function missingDescription(): string[] {
  return fs.existsSync(join(DIRECTORY, 'api.proto')) ? [] : ['api.proto'];
}

/** A message, with the names of api.proto. */
export type Message = Readonly<Record<string, unknown>>;

type Method = (request: Message, options: { deadline: number }, done: (error: ServiceError | null, answer: Message) => void) => void;
type Client = Record<string, Method> & { close(): void };

/** A call that takes so long has hung, milliseconds. */
const HANGS = 60_000;

export class Cri {
  readonly #client: Client;

  constructor(socket: string) {
    const definition = loadSync('api.proto', { includeDirs: [DIRECTORY], keepCase: true, longs: Number, enums: String, defaults: true });
    const { v1 } = loadPackageDefinition(definition)['runtime'] as unknown as { v1: { RuntimeService: new (...args: unknown[]) => Client } };
    // The name of the authority that grpc makes of a path is none that containerd's server takes.
    this.#client = new v1.RuntimeService(`unix://${socket}`, credentials.createInsecure(), { 'grpc.default_authority': 'localhost' });
  }

  /** Calls a method of the runtime service. @throws Error with the words of the engine. */
  call<Answer = Message>(method: string, request: Message): Promise<Answer> {
    return new Promise((fulfil, reject) => {
      const done = (error: ServiceError | null, answer: Message): void => (error === null ? fulfil(answer as Answer) : reject(error));
      this.#client[method]?.(request, { deadline: Date.now() + HANGS }, done);
    });
  }

  close(): void {
    this.#client.close();
  }
}
