//! The operator's commands that need no running pool: arguments, `check-config`, `config default`, `tls self-signed`,
//! `keys sv2`, exit codes.
//!
//! Running the pool and the demonstration is not here.

pub mod arguments;
#[cfg(test)]
mod book;
mod check_config;
mod config_default;
pub mod exit_code;
mod keys;
mod machine;
mod pay_address;
mod qr_code;
mod self_signed;

pub use check_config::check_config;
pub use config_default::config_default;
pub use keys::sv2_key;
pub use self_signed::self_signed;
