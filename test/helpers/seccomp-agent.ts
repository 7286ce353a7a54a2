/** The seccomp agent of seccomp-agent.c beside a test. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { eventually, type Workspace } from './container.ts';

/** The agent, and what it has said so far. */
export interface Agent {
  readonly path: string;
  readonly process: ChildProcess;
  readonly said: () => string[];
  /** The container process states that it got. */
  readonly states: () => Record<string, unknown>[];
}

export async function agent(workspace: Workspace): Promise<Agent> {
  const program = workspace.path('seccomp-agent');
  execFileSync('cc', ['-D_GNU_SOURCE', '-o', program, join(import.meta.dirname, 'seccomp-agent.c')]);
  const path = workspace.path('agent');
  const process = workspace.helper([program, path]);
  let out = '';
  process.stdout?.on('data', (data: Buffer) => (out += String(data)));
  await eventually('the agent to listen', () => fs.existsSync(path));
  const said = (): string[] => out.split('\n').slice(0, -1);
  const states = (): Record<string, unknown>[] =>
    said().flatMap((line) => (line.startsWith('state ') ? [JSON.parse(line.slice(6)) as Record<string, unknown>] : []));
  return { path, process, said, states };
}
