//! The compression function of SHA-256 (FIPS 180-4, 6.2.2) over vectors, as a text for each instruction set.
//!
//! A macro, because a function that uses an instruction set must name it: the same text in a generic function would
//! call every addition. The module that uses it defines `Vector`, `LANES` and, over vectors, `load`, `store`, `splat`,
//! `add`, `keep`, `choose`, `majority`, `big_sigma0`, `big_sigma1`, `small_sigma0` and `small_sigma1`.
//!
//! Sixteen rounds are one turn of a loop, with the last sixteen words of the schedule in registers (where there are
//! enough of them). Longer text would leave the cache of decoded instructions and takes minutes to compile, and each of
//! the two functions is compiled once, not inlined.

/// Sixteen rounds; `$word` is the scheduled word plus constant of round `$at`.
macro_rules! sixteen_rounds {
    ($state:ident, $at:ident => $word:expr) => {
        sixteen_rounds!(@eight $state, $at, 0, $word);
        sixteen_rounds!(@eight $state, $at, 8, $word);
    };
    (@eight $state:ident, $at:ident, $start:literal, $word:expr) => {
        sixteen_rounds!(@one $state, 0 1 2 3 4 5 6 7, $at, $start, $word);
        sixteen_rounds!(@one $state, 7 0 1 2 3 4 5 6, $at, $start + 1, $word);
        sixteen_rounds!(@one $state, 6 7 0 1 2 3 4 5, $at, $start + 2, $word);
        sixteen_rounds!(@one $state, 5 6 7 0 1 2 3 4, $at, $start + 3, $word);
        sixteen_rounds!(@one $state, 4 5 6 7 0 1 2 3, $at, $start + 4, $word);
        sixteen_rounds!(@one $state, 3 4 5 6 7 0 1 2, $at, $start + 5, $word);
        sixteen_rounds!(@one $state, 2 3 4 5 6 7 0 1, $at, $start + 6, $word);
        sixteen_rounds!(@one $state, 1 2 3 4 5 6 7 0, $at, $start + 7, $word);
    };
    (@one $state:ident, $a:literal $b:literal $c:literal $d:literal $e:literal $f:literal $g:literal $h:literal,
        $at:ident, $round:expr, $word:expr) => {
        let $at: usize = $round;
        let word = $word;
        // What `e`, the latest result, is not needed for is added first, and the compiler must leave it at that: four
        // operations from `e` to the next `e` instead of five. Three percent of the time with AVX-512VL.
        let early = keep(add($state[$h], word));
        let chosen = keep(add(early, choose($state[$e], $state[$f], $state[$g])));
        let first = add(chosen, big_sigma1($state[$e]));
        $state[$d] = add($state[$d], first);
        let second = add(majority($state[$a], $state[$b], $state[$c]), big_sigma0($state[$a]));
        $state[$h] = add(first, second);
    };
}

/// `compress` and `compress_common` of a backend, which need `$features`.
macro_rules! kernel {
    ($features:tt) => {
        #[target_feature(enable = $features)]
        #[inline(never)]
        fn compress(state: &mut Words<8, LANES>, block: &Words<16, LANES>) {
            let mut words: [Vector; 16] = [splat(0); 16];
            for (word, lanes) in words.iter_mut().zip(&block.0) {
                *word = load(lanes);
            }
            let mut now = load_state(state);
            let constants = &ROUND_CONSTANTS_TABLE.0;
            sixteen_rounds!(now, at => add(words[at], splat(constants[0][at])));
            for constants in &constants[1..] {
                sixteen_rounds!(now, at => {
                    let early = add(words[at], small_sigma0(words[(at + 1) % 16]));
                    let late = add(words[(at + 9) % 16], small_sigma1(words[(at + 14) % 16]));
                    words[at] = add(early, late);
                    add(words[at], splat(constants[at]))
                });
            }
            add_to_state(state, &now);
        }

        #[target_feature(enable = $features)]
        #[inline(never)]
        fn compress_common(state: &mut Words<8, LANES>, scheduled: &[u32; 64]) {
            let mut now = load_state(state);
            for words in scheduled.as_chunks::<16>().0 {
                sixteen_rounds!(now, at => splat(words[at]));
            }
            add_to_state(state, &now);
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn load_state(state: &Words<8, LANES>) -> [Vector; 8] {
            let mut vectors = [splat(0); 8];
            for (vector, lanes) in vectors.iter_mut().zip(&state.0) {
                *vector = load(lanes);
            }
            vectors
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn add_to_state(state: &mut Words<8, LANES>, vectors: &[Vector; 8]) {
            for (lanes, vector) in state.0.iter_mut().zip(vectors) {
                store(lanes, add(load(lanes), *vector));
            }
        }
    };
}

/// The value that proves the instruction set, its batch function, and its place among the kernels. `$features` are what
/// the walk around the compressions may use: registers of the kernel's width and no wider, since what was stored in
/// halves is loaded late.
macro_rules! proof {
    ($name:ident, $features:tt, [$($feature:tt),+], $meaning:literal) => {
        #[doc = $meaning]
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $name(());

        impl $name {
            /// The one way to such a value: this processor can it.
            pub(super) fn detect() -> Option<Self> {
                ($(std::arch::is_x86_feature_detected!($feature))&&+).then_some(Self(()))
            }

            /// Hashes at most as many shares as there are lanes, but at least one.
            pub(super) fn hash(self, shares: &[Share<'_>], hashes: &mut [ShareHash]) {
                // SAFETY: `self` exists, so the processor can what the function needs.
                unsafe { hash_batch(self, shares, hashes) }
            }

            /// Hashes at most as many pairs of nodes to their parents as there are lanes, but at least one.
            pub(super) fn hash_pairs(self, pairs: &[[Hash256; 2]], parents: &mut [Hash256]) {
                // SAFETY: `self` exists, so the processor can what the function needs.
                unsafe { hash_pairs(self, pairs, parents) }
            }
        }

        impl Kernel<LANES> for $name {
            #[inline(always)]
            fn compress(self, state: &mut Words<8, LANES>, block: &Words<16, LANES>) {
                // SAFETY: `self` exists, so the processor can what the function needs.
                unsafe { compress(state, block) }
            }

            #[inline(always)]
            fn compress_common(self, state: &mut Words<8, LANES>, scheduled: &[u32; 64]) {
                // SAFETY: `self` exists, so the processor can what the function needs.
                unsafe { compress_common(state, scheduled) }
            }
        }

        #[target_feature(enable = $features)]
        fn hash_batch(kernel: $name, shares: &[Share<'_>], hashes: &mut [ShareHash]) {
            lanes::hash(kernel, shares, hashes);
        }

        #[target_feature(enable = $features)]
        fn hash_pairs(kernel: $name, pairs: &[[Hash256; 2]], parents: &mut [Hash256]) {
            lanes::hash_pairs(kernel, pairs, parents);
        }
    };
}
