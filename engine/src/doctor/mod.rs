//! `warppool doctor`: is a pool fit for every miner? Asked of its public endpoint, before hash rate is paid for.
//!
//! - `check` names what is looked at. A check is made wherever it can be: in every client and every probe.
//! - `clients/*.txt` are recorded clients, `script` reads them, `play` plays them.
//! - `probes` ask what no client asks. `visit` is one connection and judges every line that comes, with `judge`.
//! - `ledger` gathers, `report` tells.
//!
//! It is polite: one connection after the other, at most two at once, some 20 in all, a few shares that are worth
//! nothing. It does not measure speed, and it does not know what a pool pays: see `verify`.

mod check;
mod examination;
mod judge;
mod ledger;
mod miner;
mod play;
mod probes;
mod report;
mod script;
mod visit;

pub use check::{About, CHECKS, Check};
pub use examination::{Options, examine, names};
pub use ledger::{Finding, Outcome};
pub use report::{Report, Verdict};

use crate::cli::arguments::Doctor;
use crate::cli::exit_code::{DONE, FAILED, WRONG_USAGE};
use crate::client::{TlsOptions, Way};
use std::io::{self, Write};
use std::time::Duration;

/// Examines a pool and tells what came of it. The report goes to `output`, progress and trouble to `errors`; the result
/// is the exit status.
///
/// # Errors
/// When an output cannot be written.
pub fn doctor(arguments: &Doctor, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
    if let Some(only) = arguments.only.as_deref().filter(|only| !names().contains(only)) {
        writeln!(errors, "there is no client, probe or check \"{only}\"; there are: {}", names().join(", "))?;
        return Ok(WRONG_USAGE);
    }
    let progress = |title: &str| {
        // Whoever does not watch misses nothing.
        let _ = writeln!(errors, "… {title}");
    };
    match examine(&options(arguments), progress) {
        Ok(report) => {
            match arguments.json {
                true => writeln!(output, "{:#}", report.json())?,
                false => write!(output, "{}", report.text())?,
            }
            Ok(if report.has_passed() { DONE } else { FAILED })
        }
        Err(error) => {
            writeln!(errors, "{error}")?;
            Ok(FAILED)
        }
    }
}

fn options(arguments: &Doctor) -> Options {
    let endpoint = arguments.pool.clone();
    let tls = (arguments.tls || endpoint.tls).then(TlsOptions::default);
    Options {
        way: Way { endpoint, tls },
        user: arguments.user.clone(),
        password: arguments.password.clone(),
        only: arguments.only.clone(),
        long: arguments.long,
        strict: arguments.strict,
        silence_max: Duration::from_secs(60),
        patience: Duration::from_secs(5),
    }
}
