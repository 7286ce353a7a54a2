/** commander's classes, with names that are made once: it asks for the names of all options, also of those not given, with every command line. */
import { Command, Option } from 'commander';
import { StrataError, withFields } from '../base/error.ts';

export class Flag extends Option {
  private ownName: string | undefined;
  private attribute: string | undefined;

  override name(): string {
    this.ownName ??= super.name();
    return this.ownName;
  }

  override attributeName(): string {
    this.attribute ??= super.attributeName();
    return this.attribute;
  }

  /** What a reader of values says of one is told together with the flag's name, as commander does with errors of its own. */
  override argParser<Value>(read: (text: string, before: Value) => Value): this {
    return super.argParser((text: string, before: Value): Value => {
      try {
        return read(text, before);
      } catch (error) {
        throw error instanceof StrataError ? withFields(error, { reason: `--${this.name()}: ${error.reason}` }) : error;
      }
    });
  }
}

/** The program, and each of its verbs. */
export class Verb extends Command {
  override createCommand(name?: string): Command {
    return new Verb(name);
  }

  override createOption(flags: string, description?: string): Option {
    return new Flag(flags, description);
  }
}
