/** A systemd at the other end of {@link Host.exchange}: it keeps the calls, and answers as it is told. */
import { decodeMessage, encodeMessage, FIELD, type HeaderField, MESSAGE, type Message, type Value } from '../../src/systemd/message.ts';

export interface SystemdCall {
  readonly member: string;
  readonly body: readonly Value[];
}

/** What a call gets: values with their signature, a job that ends so, or an error with its words. */
export type Answer =
  | { readonly signature: string; readonly body: readonly Value[] }
  | { readonly job: string }
  | { readonly error: string; readonly words: string };

export class FakeSystemd {
  readonly calls: SystemdCall[] = [];
  /** By member; the others get an empty answer. */
  readonly answers = new Map<string, (body: readonly Value[]) => Answer>();
  /** Characters of an answer that come at a time. */
  piece = Number.POSITIVE_INFINITY;
  greeting = 'DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n';
  private begun = false;
  private pending = '';
  private jobs = 0;

  constructor(version = '252.39-1') {
    this.answers.set('Get', () => ({ signature: 'v', body: [{ signature: 's', value: version }] }));
  }

  /** A new connection. */
  accept(): void {
    this.begun = false;
    this.pending = '';
  }

  exchange(bytes: string): string {
    let rest = bytes;
    if (!this.begun) {
      const end = rest.indexOf('BEGIN\r\n') + 'BEGIN\r\n'.length;
      if (rest.slice(0, end) !== '\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n') return 'ERROR\r\n';
      rest = rest.slice(end);
      this.begun = true;
      this.pending += this.greeting;
    }
    for (let call = decodeMessage(rest); call !== undefined; call = decodeMessage(rest)) {
      this.answer(call, rest);
      rest = rest.slice(call.size);
    }
    const piece = this.pending.slice(0, this.piece);
    this.pending = this.pending.slice(piece.length);
    return piece;
  }

  private answer({ member, body }: Message, bytes: string): void {
    const wantsReply = (bytes.charCodeAt(2) & 1) === 0;
    const serial = bytes.charCodeAt(8) | (bytes.charCodeAt(9) << 8);
    this.calls.push({ member, body });
    if (!wantsReply) return;
    const to: HeaderField = [FIELD.replySerial, { signature: 'u', value: serial }];
    const answer = this.answers.get(member)?.(body) ?? { signature: '', body: [] };
    if ('error' in answer) {
      this.pending += encodeMessage([MESSAGE.error, 1, 7], [to, [FIELD.errorName, { signature: 's', value: answer.error }]], 's', [answer.words]);
    } else if ('job' in answer) {
      const job = `/org/freedesktop/systemd1/job/${++this.jobs}`;
      const removed: readonly HeaderField[] = [
        [FIELD.path, { signature: 'o', value: '/org/freedesktop/systemd1' }],
        [FIELD.interface, { signature: 's', value: 'org.freedesktop.systemd1.Manager' }],
        [FIELD.member, { signature: 's', value: 'JobRemoved' }],
      ];
      // The end of another's job, then our own before its name is told: both happen.
      this.pending += encodeMessage([MESSAGE.signal, 1, 8], removed, 'uoss', [99, '/org/freedesktop/systemd1/job/99', 'other.service', 'failed']);
      this.pending += encodeMessage([MESSAGE.signal, 1, 9], removed, 'uoss', [this.jobs, job, String(body[0]), answer.job]);
      this.pending += encodeMessage([MESSAGE.reply, 1, 10], [to], 'o', [job]);
    } else {
      this.pending += encodeMessage([MESSAGE.reply, 1, 11], [to], answer.signature, answer.body);
    }
  }
}
