//! The operator's commands as far as they are pure: arguments, `check-config`, `config default`, exit codes.
//!
//! Running the pool and the demonstration is not here.

pub mod arguments;
#[cfg(test)]
mod book;
mod check_config;
mod config_default;
pub mod exit_code;
mod pay_address;

pub use check_config::check_config;
pub use config_default::config_default;
