import { describe, expect, it } from 'vitest';
// @ts-expect-error: the mock is plain JavaScript.
import { startMock } from '../mock/server.mjs';
import { backOffMs, EventParser, EventStream, type StreamEvent, type StreamState } from '../src/lib/event-stream';

describe('the parser', () => {
  const stream = ': hello\n\nid: 7\nevent: new_job\ndata: {"a":\ndata: 1}\n\ndata:x\r\ndata:y\r\n\r\nevent: ping\n\n';
  const expected = [
    { id: '7', type: 'new_job', data: '{"a":\n1}' },
    { id: '7', type: 'message', data: 'x\ny' },
  ];

  it('reads events, comments and both line ends', () => expect(new EventParser().push(stream)).toEqual(expected));

  it('does not care where pieces are cut', () => {
    for (let cut = 0; cut <= stream.length; cut += 1) {
      const parser = new EventParser();
      expect([...parser.push(stream.slice(0, cut)), ...parser.push(stream.slice(cut))]).toEqual(expected);
    }
  });

  it('remembers the last id', () => {
    const parser = new EventParser();
    parser.push('id: 12\ndata: a\n\n');
    expect(parser.lastEventId).toBe('12');
  });
});

describe('back-off', () => {
  it('doubles up to half a minute and is never nothing', () => {
    const ceilings = [0, 1, 2, 3, 4, 5, 6, 7, 1000].map((attempt) => backOffMs(attempt, 1));
    expect(ceilings).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    expect(backOffMs(0, 0)).toBe(250);
  });
});

/** A stream under test with what it told and how long it wanted to wait. */
function observed(url: string, fetcher?: typeof fetch) {
  const states: StreamState[] = [];
  const delays: number[] = [];
  const waiting: { until: (events: StreamEvent[]) => boolean; done: () => void }[] = [];
  const events: StreamEvent[] = [];
  const stream = new EventStream({
    url,
    random: () => 1,
    onState: (state) => states.push(state),
    onEvent: (event) => {
      events.push(event);
      for (const entry of waiting) if (entry.until(events)) entry.done();
    },
    sleep: async (delayMs) => {
      delays.push(delayMs);
      if (delays.length >= 5) stream.close();
    },
    ...(fetcher ? { fetch: fetcher } : {}),
  });
  const seen = (until: (events: StreamEvent[]) => boolean): Promise<void> => new Promise((done) => waiting.push({ until, done }));
  return { stream, states, delays, events, seen };
}

describe('the stream', () => {
  it('comes back behind the last event it saw', async () => {
    const server = await startMock();
    const { stream, events, seen } = observed(`${server.url}api/events`);
    try {
      stream.open();
      await seen((all) => all.length >= 1);
      const seenBefore = Number(events.at(-1)?.id);
      server.mock.dropStreams();
      server.mock.publish({ type: 'worker_up', at: 1, worker: 'a.b' });
      await seen((all) => all.some((event) => event.type === 'worker_up'));
      expect(server.mock.resumedFrom).toEqual([null, String(seenBefore)]);
      expect(events.map((event) => Number(event.id))).toEqual(events.map((_, index) => Number(events[0]?.id) + index));
    } finally {
      stream.close();
      await server.close();
    }
  });

  it('waits longer and longer for a pool that answers 503', async () => {
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const { stream, delays, states } = observed('http://pool/api/events', async () => {
      if (delays.length >= 4) end();
      return new Response('busy', { status: 503 });
    });
    stream.open();
    await ended;
    stream.close();
    expect(delays.slice(0, 4)).toEqual([500, 1000, 2000, 4000]);
    expect(states).not.toContain('open');
    expect(states.at(-1)).toBe('closed');
  });
});
