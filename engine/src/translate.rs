//! `warppool translate`: miners of Stratum V1 and V2 below, another pool of either above.

use crate::authority;
use crate::cli::arguments::Translate;
use crate::cli::exit_code;
use crate::config::paths::Directories;
use crate::config::{Loaded, load};
use crate::logging::{self, LogOptions};
use crate::run;
use crate::runtime::{Pool, PoolOptions, Signals, SourceOptions};
use crate::upstream::{UpstreamOptions, trust};
use std::time::Duration;
use warppool_components::settings::{Payee, PayoutSettings, Settings};

/// Name of the file of shares and workers, beside which the key of Stratum V2 is kept.
const STORE_FILE_NAME: &str = "translator.redb";

/// Runs the translator; the result is the exit status.
pub fn translate(arguments: &Translate) -> u8 {
    let loaded = match load(&arguments.sources()) {
        Ok(loaded) => adapted(loaded, arguments),
        Err(problems) => {
            problems.0.iter().for_each(|problem| run::report(&problem.to_string()));
            return exit_code::BAD_CONFIGURATION;
        }
    };
    let logging = &loaded.config.logging;
    let _log = logging::start(LogOptions { filter: if logging.debug { "debug" } else { "info" }, json: logging.json });
    match serve(&loaded, arguments) {
        Ok(()) => exit_code::DONE,
        Err(error) => {
            tracing::error!("{error}");
            exit_code::FAILED
        }
    }
}

/// The configuration with what the command line says of places.
fn adapted(mut loaded: Loaded, arguments: &Translate) -> Loaded {
    let config = &mut loaded.config;
    config.server.pool_listen = arguments.listen;
    config.server.status_listen = arguments.dashboard;
    let directory = arguments.data.clone();
    let directory = directory.unwrap_or_else(|| Directories::from_environment().data(config.file.as_deref()));
    config.store.path = Some(directory.join(STORE_FILE_NAME));
    loaded
}

fn serve(loaded: &Loaded, arguments: &Translate) -> Result<(), Box<dyn std::error::Error>> {
    let caps = loaded.config.caps();
    let hashing = run::start_hashing(&loaded.config, &caps)?;
    let (authority, _) = authority::load_or_make(&loaded.config, &loaded.secrets)?;
    let public_key = authority.public();
    let upstream = UpstreamOptions {
        upstreams: arguments.upstream.clone(),
        user: arguments.user.clone(),
        password: arguments.password.clone(),
        trusted: trust(arguments.upstream_ca.as_deref())?,
        nominal_hash_rate: arguments.hash_rate,
        return_after: Duration::from_secs(arguments.return_after),
    };
    let options = run::options(loaded, &caps, hashing);
    let pool = Pool::start(PoolOptions {
        settings: settings(options.settings.clone(), &arguments.user),
        source: SourceOptions::Upstream(upstream),
        authority: Some(authority),
        ..options
    })?;
    let stop = pool.stop_handle();
    let keep = || tracing::warn!("the translator reads nothing again: end it and start it with other options");
    let signals = Signals::listen(move || stop.ask(), keep)?;
    run::tell_where(&pool, public_key, loaded);
    let outcome = pool.run();
    drop(signals);
    Ok(outcome?)
}

/// Whoever mines here is a name and nothing else: the upstream pays its user.
fn settings(settings: Settings, user: &str) -> Settings {
    let payout = PayoutSettings { fallback: Some(Payee::upstream(user)), ..PayoutSettings::default() };
    Settings { payout, ..settings }
}
