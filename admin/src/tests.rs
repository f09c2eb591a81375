//! The server as its users see it: requests over sockets to a server on a port of the system's choice, fed with a snapshot and
//! a history made by hand.

mod bounds;
mod client;
mod documented;
mod events;
mod fixture;
mod metrics;
mod requests;
