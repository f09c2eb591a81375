//! Chores of the repository: `cargo xtask tidy`, `cargo xtask ci` and `cargo xtask bench`.
//!
//! What is a rule of this repository and can be checked by a machine is checked here, and each rule has a test that
//! seeds a violation. Nothing here is part of the product.

#![forbid(unsafe_code)]

pub mod bench;
pub mod ci;
mod machine;
pub mod mask;
pub mod steps;
pub mod tidy;
