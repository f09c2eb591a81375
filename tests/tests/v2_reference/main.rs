//! The pool's V2 side without sockets, before the reference project: its messages in a miner of their own
//! ([`warppool_reference`]), and its channel objects as the oracle of every verdict.

#![forbid(unsafe_code)]

mod differential;
mod oracle;
mod rules;
