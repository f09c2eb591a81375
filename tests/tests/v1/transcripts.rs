//! Exact lines of known clients; see `warppool_tests::transcript` for the directives.

use warppool_tests::transcript::play;

macro_rules! transcripts {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            play(include_str!(concat!("../transcripts/", stringify!($name), ".txt")));
        }
    )* };
}

transcripts! {
    antminer_bmminer
    axeos
    braiins_os
    cgminer
    cpuminer
    nerdminer
    nicehash
    odd_json
    proxy
}
