//! Inputs out of inputs without a fuzzer, for the ordinary tests: bits turned, bytes cut and repeated, words of a dictionary
//! put in, halves of two inputs joined. The same seed gives the same inputs.
//!
//! What does not happen here: nobody looks which input reached something new.

/// Changes that are made to one input at most.
const CHANGES_MAX: u64 = 4;

/// Bytes that an input may grow to.
const BYTES_MAX: usize = 1024;

/// Bytes that are cut out or repeated at once.
const RUN_BYTES_MAX: u64 = 32;

/// Makes inputs of inputs.
#[derive(Debug)]
pub struct Mutator {
    state: u64,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    /// With the words of a dictionary in libFuzzer's format.
    pub fn new(seed: u64, dictionary: &str) -> Self {
        Self { state: seed, words: dictionary.lines().filter_map(word).collect() }
    }

    /// Another input: `one` with some changes, perhaps with the end of `other`.
    pub fn input(&mut self, one: &[u8], other: &[u8]) -> Vec<u8> {
        let mut input = one.to_vec();
        for _ in 0..=self.below(CHANGES_MAX) {
            self.change(&mut input, other);
        }
        input.truncate(BYTES_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let place = self.place(input.len());
        match self.below(8) {
            0 | 1 if place < input.len() => input[place] ^= 1 << self.below(8),
            2 if place < input.len() => input[place] = self.next() as u8,
            3 => {
                let end = (place + self.run()).min(input.len());
                input.drain(place..end);
            }
            4 => {
                let end = (place + self.run()).min(input.len());
                let run = input[place..end].to_vec();
                input.splice(place..place, run);
            }
            5 => input.truncate(place),
            6 => {
                let from = self.place(other.len());
                input.truncate(place);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let chosen = self.below(self.words.len() as u64) as usize;
                let byte = self.next() as u8;
                let word = self.words.get(chosen).cloned().unwrap_or_else(|| vec![byte]);
                input.splice(place..place, word);
            }
        }
    }

    /// A place in so many bytes, their end included.
    fn place(&mut self, length: usize) -> usize {
        self.below(length as u64 + 1) as usize
    }

    fn run(&mut self) -> usize {
        1 + self.below(RUN_BYTES_MAX) as usize
    }

    /// A number in 0..`count`.
    pub fn below(&mut self, count: u64) -> u64 {
        self.next() % count.max(1)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// The word of a dictionary's line: what stands between the first quotation mark and the last, with `\\`, `\"` and `\xNN`.
fn word(line: &str) -> Option<Vec<u8>> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let (_, behind) = line.split_once('"')?;
    let (quoted, _) = behind.rsplit_once('"')?;
    let (mut word, mut rest) = (Vec::new(), quoted.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        word.push(match (first, behind) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                rest = after;
                let digits = [*high, *low];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            (b'\\', [escaped, after @ ..]) => {
                rest = after;
                *escaped
            }
            _ => *first,
        });
    }
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_libfuzzer_reads_them() {
        for (line, expected) in [
            (r#"name="abc""#, Some(&b"abc"[..])),
            (r#""a\"b\\""#, Some(b"a\"b\\")),
            (r#""\x00\xffz""#, Some(b"\x00\xffz")),
            ("# a comment with \"quotes\"", None),
            ("", None),
        ] {
            assert_eq!(word(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_inputs_and_they_differ() {
        let inputs = || {
            let mut mutator = Mutator::new(7, "\"word\"");
            (0..100).map(|_| mutator.input(b"one input", b"another one")).collect::<Vec<_>>()
        };
        assert_eq!(inputs(), inputs());
        let distinct: std::collections::HashSet<_> = inputs().into_iter().collect();
        assert!(distinct.len() > 80, "only {} inputs differ", distinct.len());
    }
}
