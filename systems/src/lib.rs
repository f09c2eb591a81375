//! One file a system, in tick order.

#![forbid(unsafe_code)]
