//! `warppool verify`: who is paid by the block that a pool lets a miner look for?
//!
//! It connects as a miner, takes one job, puts the coinbase together as every miner does and reads it. What it cannot
//! see: whether a pool that pays later, from a purse of its own, will do so.

mod coinbase;
mod verdict;

pub use coinbase::{Coinbase, CoinbaseError, Output};
pub use verdict::Verdict;

use crate::cli::arguments::{NetworkName, Verify};
use crate::cli::exit_code::{DONE, FAILED, WRONG_USAGE};
use crate::client::message::{self, Message, Reply};
use crate::client::{ConnectError, Connection, Received, TlsOptions, Way};
use bitcoin::hex::FromHex;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::time::{Duration, Instant};
use warppool_loadgen::miner::Job;

/// How long a pool may take for everything: two answers and a job.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why nothing can be said about a pool.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is not there.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It has hung up.
    #[error("{0} before it gave a job")]
    Ended(String),
    /// It says nothing.
    #[error("the pool gave no job within {} s", PATIENCE.as_secs())]
    Silent,
    /// It does not take this worker.
    #[error("the pool refuses the worker {user}: {why}")]
    Refused {
        /// As it was told.
        user: String,
        /// Its words.
        why: String,
    },
    /// What it says is not Stratum.
    #[error("the pool does not keep to the protocol: {0}")]
    Protocol(String),
    /// Its coinbase is none.
    #[error(transparent)]
    Coinbase(#[from] CoinbaseError),
}

/// Asks a pool and tells what came of it. The result is the exit status.
///
/// # Errors
/// When an output cannot be written.
pub fn verify(arguments: &Verify, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
    if let Some(NetworkName(network)) = arguments.network.filter(|it| !arguments.address.is_of(it.0)) {
        writeln!(errors, "{} is no address of {network}", arguments.address.text)?;
        return Ok(WRONG_USAGE);
    }
    match ask(arguments) {
        Ok(verdict) => {
            match arguments.json {
                true => writeln!(output, "{:#}", verdict.json())?,
                false => write!(output, "{}", verdict.text())?,
            }
            Ok(if verdict.is_paid() { DONE } else { FAILED })
        }
        Err(error) => {
            if arguments.json {
                writeln!(output, "{:#}", json!({ "paid": false, "error": error.to_string() }))?;
            }
            writeln!(errors, "{error}")?;
            Ok(FAILED)
        }
    }
}

fn ask(arguments: &Verify) -> Result<Verdict, VerifyError> {
    let endpoint = arguments.pool.clone();
    let tls = (arguments.tls || endpoint.tls).then(TlsOptions::default);
    let way = Way { endpoint, tls };
    let user = arguments.user.clone().unwrap_or_else(|| arguments.address.text.clone());
    let deadline = Instant::now() + PATIENCE;
    let mut miner = Newcomer { connection: Connection::open(&way, deadline)?, deadline };
    let (extranonce1, extranonce2_bytes) = miner.subscribe()?;
    miner.authorize(&user, arguments.password.reveal())?;
    let job = miner.job()?;
    let coinbase = Coinbase::read(&job, &extranonce1, extranonce2_bytes)?;
    let doubt = miner.connection.tls().and_then(|tls| tls.doubt.clone());
    let network = arguments.network.map_or(arguments.address.network, |name| name.0);
    let branches = job.branches.len();
    let (pool, address) = (way.endpoint.to_string(), arguments.address.clone());
    Ok(Verdict { pool, address, network, coinbase, branches, doubt })
}

/// A miner that wants one job.
struct Newcomer {
    connection: Connection,
    deadline: Instant,
}

impl Newcomer {
    /// The pool's part of the extranonce and the size of the miner's.
    fn subscribe(&mut self) -> Result<(Vec<u8>, usize), VerifyError> {
        let agent = concat!("warppool-verify/", env!("CARGO_PKG_VERSION"));
        let result = self.call(1, "mining.subscribe", &json!([agent]))?.result.unwrap_or_default();
        let own = result[1].as_str().and_then(|text| Vec::<u8>::from_hex(text).ok());
        let size = result[2].as_u64().filter(|size| (1..=16).contains(size));
        let wrong = || VerifyError::Protocol(format!("mining.subscribe is answered with {result}"));
        Ok((own.ok_or_else(wrong)?, size.ok_or_else(wrong)? as usize))
    }

    fn authorize(&mut self, user: &str, password: &str) -> Result<(), VerifyError> {
        let reply = self.call(2, "mining.authorize", &json!([user, password]))?;
        if reply.is_true() {
            return Ok(());
        }
        Err(VerifyError::Refused { user: user.to_owned(), why: reply.error_text() })
    }

    fn job(&mut self) -> Result<Job, VerifyError> {
        loop {
            if let Message::Notification { method, params, .. } = self.next()?
                && method == "mining.notify"
            {
                return Job::decode(&params).map_err(|error| VerifyError::Protocol(error.to_string()));
            }
        }
    }

    fn call(&mut self, id: u32, method: &str, params: &Value) -> Result<Reply, VerifyError> {
        self.connection.send_lines(&[json!({ "id": id, "method": method, "params": params }).to_string()]);
        loop {
            match self.next()? {
                Message::Reply(reply) if reply.id == Some(id.to_string()) => return Ok(reply),
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<Message, VerifyError> {
        match self.connection.receive(self.deadline) {
            Received::Line(line) => message::read(&line).map_err(VerifyError::Protocol),
            Received::Nothing => Err(VerifyError::Silent),
            Received::End(why) => Err(VerifyError::Ended(why)),
        }
    }
}
