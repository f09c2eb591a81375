//! Channels of one connection.
