/** Slow work that follows a fast hand: never more than one at a time, and always the latest wish next. */

export class Latest<W> {
  private running = false;
  private waiting: { wish: W } | null = null;

  constructor(private readonly work: (wish: W) => Promise<void>) {}

  /** Whether something newer than what is at work is wanted. */
  get wanted(): boolean {
    return this.waiting !== null;
  }

  async want(wish: W): Promise<void> {
    this.waiting = { wish };
    if (this.running) return;
    this.running = true;
    try {
      while (this.waiting !== null) {
        const { wish: next } = this.waiting;
        this.waiting = null;
        await this.counted(next);
      }
    } finally {
      this.running = false;
    }
  }

  /** A failure counts only where nothing newer is wanted: otherwise the newer wish would wait for one more. */
  private async counted(wish: W): Promise<void> {
    try {
      await this.work(wish);
    } catch (error) {
      if (!this.wanted) throw error;
    }
  }
}

/** Work that is given up as soon as something newer is wanted. */
export class Cancellable {
  private controller = new AbortController();

  begin(): AbortSignal {
    this.stop();
    this.controller = new AbortController();
    return this.controller.signal;
  }

  stop(): void {
    this.controller.abort();
  }
}
