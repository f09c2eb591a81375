//! `warppool message` and `warppool reconnect`: the operator's side of the socket.

use super::socket_path;
use super::wire::{self, Answer, Order};
use crate::cli::arguments::{Message, Reconnect, Whom};
use crate::cli::exit_code::{DONE, FAILED, WRONG_USAGE};
use crate::config::load;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the pool may take to answer: a tick, which is a moment.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends the message and tells how many were sent it. The result is the exit status.
///
/// # Errors
/// When an output cannot be written.
pub fn message(arguments: &Message, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
    let order = Order::Message { worker: arguments.whom.worker.clone(), text: arguments.text.clone() };
    tell(&order, &arguments.whom, output, errors)
}

/// Tells miners to connect anew, and how many were told. The result is the exit status.
///
/// # Errors
/// When an output cannot be written.
pub fn reconnect(arguments: &Reconnect, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
    let order = Order::Reconnect { worker: arguments.whom.worker.clone(), place: arguments.place.clone() };
    tell(&order, &arguments.whom, output, errors)
}

fn tell(order: &Order, whom: &Whom, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
    if let Err(why) = order.check() {
        writeln!(errors, "{why}")?;
        return Ok(WRONG_USAGE);
    }
    let config = match load(&whom.sources()) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            problems.0.iter().try_for_each(|problem| writeln!(errors, "{problem}"))?;
            return Ok(FAILED);
        }
    };
    let path = socket_path(&config.store_path());
    match give(&path, order) {
        Ok(Answer::Shown(0)) => {
            let whom = whom.worker.as_deref().map_or("no miner is connected".to_owned(), |worker| {
                format!("no worker {worker} is connected: use address.name as the dashboard shows it, or an address")
            });
            writeln!(errors, "{whom}")?;
            Ok(FAILED)
        }
        Ok(Answer::Shown(count)) => {
            writeln!(output, "sent to {count} connection{}", if count == 1 { "" } else { "s" })?;
            Ok(DONE)
        }
        Ok(Answer::Refused(why)) => {
            writeln!(errors, "{why}")?;
            Ok(FAILED)
        }
        Err(error) => {
            writeln!(errors, "no pool takes orders at {}: {error}", path.display())?;
            Ok(FAILED)
        }
    }
}

fn give(path: &Path, order: &Order) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(wire::line(order).as_bytes())?;
    wire::read(&stream)
}
