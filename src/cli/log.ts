/** Where messages go: one line each on standard error, and with `--log` in the file from which engines read the last error. */
import { printable, StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';

export const LEVELS = ['error', 'warning', 'info', 'debug'] as const;
export type Level = (typeof LEVELS)[number];

export const LOG_FORMATS = ['text', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

export interface LogSettings {
  /** '' for none. */
  readonly file: string;
  readonly format: LogFormat;
  /** The least important level that is told. */
  readonly level: Level;
}

export class Log {
  private readonly host: Host;
  private readonly settings: LogSettings;

  constructor(host: Host, settings: LogSettings) {
    this.host = host;
    this.settings = settings;
  }

  /** Makes the file, so that a path that cannot be written to is told before anything is done. */
  open(): void {
    if (this.settings.file !== '') this.host.appendFile(this.settings.file, '');
  }

  /** The error that ends the command: on standard error whatever else there is. */
  error(error: Error): void {
    const fields = error instanceof StrataError ? error.toJSON() : {};
    this.host.printError(`strata: ${printable(error.message)}\n`);
    // The log itself may be what cannot be written.
    if (!(error instanceof StrataError) || error.path !== this.settings.file) this.append('error', error.message, fields);
  }

  warn(text: string): void {
    this.tell('warning', text);
  }

  debug(text: string): void {
    this.tell('debug', text);
  }

  /** With a log file standard error is left to the container and the error. */
  private tell(level: Level, text: string): void {
    if (LEVELS.indexOf(level) > LEVELS.indexOf(this.settings.level)) return;
    if (this.settings.file === '') this.host.printError(`strata: ${level}: ${printable(text)}\n`);
    else this.append(level, text, {});
  }

  private append(level: Level, text: string, fields: Readonly<Record<string, string>>): void {
    if (this.settings.file === '') return;
    const time = this.host.timestamp();
    const line =
      this.settings.format === 'json'
        ? JSON.stringify({ level, msg: text, time, ...fields })
        : `time="${time}" level=${level} msg=${JSON.stringify(text)}`;
    try {
      this.host.appendFile(this.settings.file, `${line}\n`);
    } catch (error) {
      this.host.printError(`strata: ${error instanceof Error ? printable(error.message) : 'cannot write the log'}\n`);
    }
  }
}
