//! Stratum V2 through the whole engine, without sockets and without encryption: the order of messages that firmware depends
//! on, shares and their verdicts, channels, found blocks.

mod blocks;
mod channels;
mod client;
mod order;
mod sessions;
mod shares;
mod storm;
mod translator;
