/** Both ends of sd_notify(3), and a caller who listens. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { eventually, type Workspace } from './container.ts';

let program = '';

/** Path of the program `notify.c`, which is built once and needs no libraries. */
export function notifyProgram(): string {
  if (program === '') {
    program = join(fs.mkdtempSync(join(tmpdir(), 'strata-notify-')), 'notify');
    execFileSync('cc', ['-O', '-static', '-o', program, join(import.meta.dirname, 'notify.c')]);
    process.once('exit', () => fs.rmSync(dirname(program), { recursive: true }));
  }
  return program;
}

/** Somebody who listens, until the workspace ends. */
export class Caller {
  /** For the command that is to tell it. */
  readonly env: { readonly NOTIFY_SOCKET: string; readonly PATH: string };
  private text = '';

  private constructor(workspace: Workspace, address: string) {
    this.env = { NOTIFY_SOCKET: address, PATH: process.env.PATH ?? '' };
    workspace.helper([notifyProgram(), 'listen', address]).stdout?.on('data', (data: Buffer) => {
      this.text += data.toString();
    });
  }

  /** @param address a path, or `@` and a name in the abstract namespace */
  static async listen(workspace: Workspace, address = join(workspace.directory, 'caller')): Promise<Caller> {
    const caller = new Caller(workspace, address);
    await eventually('the caller to listen', () => caller.text.startsWith('listening\n'));
    return caller;
  }

  /** A line for each message. What strata has waited for has been read, and may still be on its way here: {@link hears}. */
  get heard(): string[] {
    return this.text.split('\n').slice(1, -1);
  }

  /** The lines, when there are so many. */
  async hears(count: number): Promise<string[]> {
    await eventually(`the caller to hear ${count} messages`, () => this.heard.length >= count);
    return this.heard;
  }
}
