/** Looks out for an interruption while something is waited for that may never come. */

/** Milliseconds. */
const PAUSE = 100;

export class Watch {
  private readonly checkpoint: () => void;
  private readonly timer: NodeJS.Timeout;
  private readonly interrupted: Promise<never>;

  constructor(checkpoint: (() => void) | undefined) {
    this.checkpoint = checkpoint ?? (() => {});
    const { promise, reject } = Promise.withResolvers<never>();
    // Nobody may be waiting when it happens.
    promise.catch(() => {});
    this.interrupted = promise;
    this.timer = setInterval(() => {
      try {
        this.checkpoint();
      } catch (error) {
        reject(error);
      }
    }, PAUSE);
    this.timer.unref();
  }

  /** @throws what the checkpoint throws. */
  check(): void {
    this.checkpoint();
  }

  /** Waits for something that does no harm if it goes on after an interruption. */
  for<Value>(promise: Promise<Value>): Promise<Value> {
    return Promise.race([promise, this.interrupted]);
  }

  end(): void {
    clearInterval(this.timer);
  }
}
