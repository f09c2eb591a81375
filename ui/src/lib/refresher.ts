/** Asks for something again when there is news, but never twice at once and never more often than is useful. */

/** A load that can be asked for at any time. */
export class Refresher {
  private readonly load: () => Promise<void>;
  private readonly pauseMs: number;
  private running = false;
  private wanted = false;
  private timer: ReturnType<typeof setTimeout> | null = null;

  /** `load` handles its own errors; between the end of one and the start of the next lie at least `pauseMs`. */
  constructor(load: () => Promise<void>, pauseMs: number) {
    this.load = load;
    this.pauseMs = pauseMs;
  }

  /** Loads now, or as soon as the pause allows; many requests in between are one. */
  request(): void {
    if (this.running || this.timer !== null) this.wanted = true;
    else void this.run();
  }

  /** Forgets what was asked for. */
  stop(): void {
    this.wanted = false;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  private async run(): Promise<void> {
    this.running = true;
    this.wanted = false;
    await this.load();
    this.running = false;
    this.timer = setTimeout(() => {
      this.timer = null;
      if (this.wanted) void this.run();
    }, this.pauseMs);
  }
}
