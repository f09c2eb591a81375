import { describe, expect, it } from 'vitest';
import { Format } from '../src/lib/format';
import { en } from '../src/lib/messages/en';
import { presenceSentence } from '../src/lib/presence';

const NOW = 1_763_688_000;

describe('a worker', () => {
  it.each([
    ['waiting', 28.6, 19.5, 'Connected, no share yet: one every 29 sec expected'],
    ['waiting', 3900, 3900, 'Connected, no share yet: one every 1h 5m expected'],
    ['waiting', null, 12, 'Connected, no share yet'],
    ['mining', 10.2, 4, 'Mining, one share every 10 sec'],
    ['mining', 0.4, 0, 'Mining, one share every < 1 sec'],
    ['silent', 10.2, 260, 'No share for 4 min, one every 10 sec expected'],
    ['disconnected', null, null, 'Not connected for 2 hr'],
  ])('that is %s, with a share every %s s and silent for %s s', (presence, expected, quiet, sentence) => {
    const worker = { presence, expected_share_seconds: expected, quiet_seconds: quiet, last_seen: NOW - 7300 };
    expect(presenceSentence(worker, NOW, new Format('en'), en.presence)).toBe(sentence);
  });
});
