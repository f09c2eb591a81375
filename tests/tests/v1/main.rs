//! Stratum V1 through the whole engine, without sockets: one test for each rule, transcripts of known clients, judging
//! of shares, found blocks, determinism.

mod blocks;
mod determinism;
mod judging;
mod limits;
mod matrix;
mod messages;
mod order;
mod presence;
mod sessions;
mod storm;
mod transcripts;
mod values;
mod work_flow;
