/** A terminal, made by script(1), for commands that want to stand in front of one. */
import type { ChildProcess } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { eventually, MANAGER_FLAGS, STRATA, type Workspace } from './container.ts';

/** A shell on a terminal of its own, and what is seen there. */
export class Screen {
  /** Path of the terminal. */
  readonly path: () => string;
  private readonly child: ChildProcess;
  private readonly ended: Promise<number>;
  private text = '';

  /** `commands` are for sh; $STRATA is the command with its root. */
  constructor(workspace: Workspace, commands: string) {
    const note = workspace.path('tty');
    const file = workspace.path('commands');
    const strata = [STRATA, '--root', workspace.root, ...MANAGER_FLAGS].join(' ');
    fs.writeFileSync(file, `tty >${note}.new; mv ${note}.new ${note}; ${commands.replaceAll('$STRATA', strata)}\n`);
    this.child = workspace.helper(['script', '--quiet', '--flush', '--return', '--command', `sh ${file}`, '/dev/null']);
    this.child.stdout?.on('data', (data: Buffer) => {
      this.text += data.toString();
    });
    this.ended = new Promise((fulfil) => this.child.once('close', (code) => fulfil(code ?? -1)));
    this.path = () => (fs.existsSync(note) ? fs.readFileSync(note, 'utf8').trim() : '');
  }

  get seen(): string {
    return this.text.replaceAll('\r\n', '\n');
  }

  async until(words: string): Promise<void> {
    await eventually(`${JSON.stringify(words)} on the terminal, where there is ${JSON.stringify(this.text)}`, () => this.seen.includes(words));
  }

  type(text: string): void {
    this.child.stdin?.write(text);
  }

  resize(rows: number, columns: number): void {
    execFileSync('stty', ['-F', this.path(), 'rows', `${rows}`, 'cols', `${columns}`]);
  }

  settings(): string {
    return execFileSync('stty', ['-F', this.path(), '-g'], { encoding: 'utf8' });
  }

  /** The exit status of the commands. */
  async end(): Promise<number> {
    const code = await this.ended;
    return code;
  }
}
