/**
 * Server-sent events read over fetch: the protocol of EventSource with what EventSource cannot do. That one gives
 * up for good on a 503, waits a fixed time between attempts, and cannot be handed a `Last-Event-ID` when it is opened
 * anew. There is one stream per page. Nothing here knows what the events mean.
 */

/** One event as it came. */
export interface StreamEvent {
  id: string;
  type: string;
  data: string;
}

/** What the page is told about the stream. */
export type StreamState = 'connecting' | 'open' | 'waiting' | 'closed';

const FIRST_DELAY_MS = 500;
const DELAY_MAX_MS = 30_000;

/** Wait before attempt `attempt` (0 is the first repetition): doubles up to half a minute, spread by up to a half. */
export function backOffMs(attempt: number, random: number): number {
  const ceiling = Math.min(DELAY_MAX_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 16));
  return Math.round(ceiling * (0.5 + random / 2));
}

/** Parses the event stream format from pieces cut anywhere. */
export class EventParser {
  /** Last id seen; kept over events without one. */
  lastEventId = '';
  private buffer = '';
  private data: string[] = [];
  private type = '';

  /** Takes a piece of the stream and returns the events that it completes. */
  push(piece: string): StreamEvent[] {
    this.buffer += piece;
    const events: StreamEvent[] = [];
    let lineEnd: RegExpExecArray | null;
    // A carriage return at the very end may be half of a line end: it waits for the next piece.
    while ((lineEnd = /\r\n|\n|\r(?!$)/.exec(this.buffer)) !== null) {
      const line = this.buffer.slice(0, lineEnd.index);
      this.buffer = this.buffer.slice(lineEnd.index + lineEnd[0].length);
      const event = this.line(line);
      if (event) events.push(event);
    }
    return events;
  }

  private line(line: string): StreamEvent | null {
    if (line === '') return this.dispatch();
    if (line.startsWith(':')) return null;
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.data.push(value);
    else if (field === 'event') this.type = value;
    else if (field === 'id' && !value.includes('\0')) this.lastEventId = value;
    return null;
  }

  private dispatch(): StreamEvent | null {
    const event = this.data.length === 0 ? null : { id: this.lastEventId, type: this.type || 'message', data: this.data.join('\n') };
    this.data = [];
    this.type = '';
    return event;
  }
}

/** What a stream is made with. */
export interface EventStreamOptions {
  url: string;
  onEvent: (event: StreamEvent) => void;
  onState: (state: StreamState) => void;
  /** Silence after which the connection is taken for dead; the server sends a comment more often than that. */
  silenceMaxMs?: number;
  fetch?: typeof fetch;
  random?: () => number;
  /** Waits `delayMs`; ends early when `signal` aborts. */
  sleep?: (delayMs: number, signal: AbortSignal) => Promise<void>;
}

/** A stream that comes back by itself until it is closed. */
export class EventStream {
  private readonly options: Required<EventStreamOptions>;
  private controller: AbortController | null = null;
  private lastEventId = '';

  constructor(options: EventStreamOptions) {
    this.options = {
      silenceMaxMs: 45_000,
      fetch: globalThis.fetch.bind(globalThis),
      random: Math.random,
      sleep: abortableSleep,
      ...options,
    };
  }

  /** Starts, unless it runs. */
  open(): void {
    if (this.controller) return;
    this.controller = new AbortController();
    void this.run(this.controller.signal);
  }

  /** Stops; `open` resumes behind the last event. */
  close(): void {
    if (!this.controller) return;
    this.controller.abort();
    this.controller = null;
    this.options.onState('closed');
  }

  private async run(signal: AbortSignal): Promise<void> {
    let attempt = 0;
    while (!signal.aborted) {
      this.options.onState('connecting');
      const wasOpen = await this.readOnce(signal);
      if (signal.aborted) return;
      if (wasOpen) attempt = 0;
      this.options.onState('waiting');
      await this.options.sleep(backOffMs(attempt, this.options.random()), signal);
      attempt += 1;
    }
  }

  /** One connection from its start to its end; tells whether an event or comment ever came. */
  private async readOnce(closed: AbortSignal): Promise<boolean> {
    const connection = new AbortController();
    const abort = (): void => connection.abort();
    closed.addEventListener('abort', abort, { once: true });
    let watchdog = setTimeout(abort, this.options.silenceMaxMs);
    let received = false;
    try {
      const response = await this.request(connection.signal);
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      if (!response.ok || !reader) return false;
      this.options.onState('open');
      const parser = new EventParser();
      parser.lastEventId = this.lastEventId;
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        received = true;
        clearTimeout(watchdog);
        watchdog = setTimeout(abort, this.options.silenceMaxMs);
        const events = parser.push(piece.value);
        this.lastEventId = parser.lastEventId;
        if (closed.aborted) return received;
        for (const event of events) this.options.onEvent(event);
      }
    } catch {
      // A lost connection is the ordinary case here; the state tells the page.
    } finally {
      clearTimeout(watchdog);
      closed.removeEventListener('abort', abort);
      connection.abort();
    }
    return received;
  }

  private request(signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { accept: 'text/event-stream' };
    if (this.lastEventId !== '') headers['last-event-id'] = this.lastEventId;
    return this.options.fetch(this.options.url, { headers, signal, cache: 'no-store' });
  }
}

function abortableSleep(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, delayMs);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done, { once: true });
  });
}
