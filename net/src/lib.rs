//! The miners' side: sans-IO codecs, transports and the mio sockets.

#![forbid(unsafe_code)]
