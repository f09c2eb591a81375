//! The program `warppool`.

#![forbid(unsafe_code)]

use clap::Parser;
use std::io::{self, Write};
use std::process::ExitCode;
use warppool_engine::cli::arguments::{Cli, Command, ConfigCommand, KeysCommand, TlsCommand};
use warppool_engine::cli::{check_config, config_default, exit_code, self_signed, sv2_key};
use warppool_engine::{control, demo, doctor, run, translate, verify};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Translate(arguments) => translate::translate(&arguments),
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::CheckConfig(arguments) => {
            finish(check_config(&arguments.sources(), &mut io::stdout(), &mut io::stderr()))
        }
        Command::Doctor(arguments) => finish(doctor::doctor(&arguments, &mut io::stdout(), &mut io::stderr())),
        Command::Verify(arguments) => finish(verify::verify(&arguments, &mut io::stdout(), &mut io::stderr())),
        Command::Message(arguments) => finish(control::message(&arguments, &mut io::stdout(), &mut io::stderr())),
        Command::Reconnect(arguments) => finish(control::reconnect(&arguments, &mut io::stdout(), &mut io::stderr())),
        Command::Tls { command: TlsCommand::SelfSigned(arguments) } => {
            finish(self_signed(&arguments, &mut io::stdout(), &mut io::stderr()))
        }
        Command::Keys { command: KeysCommand::Sv2(arguments) } => {
            finish(sv2_key(&arguments, &mut io::stdout(), &mut io::stderr()))
        }
        Command::Config { command: ConfigCommand::Default } => {
            finish(io::stdout().write_all(config_default().as_bytes()).map(|()| exit_code::DONE))
        }
    };
    ExitCode::from(outcome)
}

/// An output that nobody reads any more is no failure worth a message.
fn finish(outcome: io::Result<u8>) -> u8 {
    outcome.unwrap_or(exit_code::FAILED)
}
