//! `warppool check-config`: every problem at once, or a short summary of what the pool would do.

use super::exit_code::{DONE, FAILED};
use crate::config::hardware::Hardware;
use crate::config::profile::recommend;
use crate::config::{Loaded, Sources, load};
use std::io::{self, Write};
use std::time::SystemTime;
use warppool_components::units::UnixTime;

/// Checks `sources`. Problems and warnings go to `errors`, the summary to `output`; the result is the exit status.
///
/// # Errors
/// When an output cannot be written.
pub fn check_config(sources: &Sources, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
    match load(sources) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                writeln!(errors, "warning: {warning}")?;
            }
            let reason = loaded.certificate.as_ref().and_then(|certificate| certificate.out_of_time(now()));
            if let Some(reason) = reason {
                // The pool runs all the same; whoever asks is told that miners may not come.
                writeln!(errors, "stratum.tls_cert_path: the certificate {reason}")?;
                writeln!(errors, "1 problem found.")?;
                return Ok(FAILED);
            }
            summarise(&loaded, output)?;
            Ok(DONE)
        }
        Err(problems) => {
            for problem in &problems.0 {
                writeln!(errors, "{problem}")?;
            }
            let (count, noun) = (problems.0.len(), if problems.0.len() == 1 { "problem" } else { "problems" });
            writeln!(errors, "{count} {noun} found.")?;
            Ok(FAILED)
        }
    }
}

fn now() -> UnixTime {
    SystemTime::now().into()
}

fn summarise(loaded: &Loaded, output: &mut dyn Write) -> io::Result<()> {
    let config = &loaded.config;
    let hardware = Hardware::detect(&config.store_path());
    let (caps, advice) = (config.caps_on(&hardware), recommend(&hardware, config.profile.expected_miner_count));
    let kind = config.profile.kind.unwrap_or(advice.kind);
    let chosen = if config.profile.kind.is_some() { "configured" } else { "from the hardware" };
    let payee = |payee: &Option<warppool_components::settings::Payee>| match payee {
        Some(payee) => payee.address.to_string(),
        None => "nobody: such miners are refused".to_owned(),
    };
    let nodes: Vec<&str> = config.node.endpoints().map(|node| node.rpc_url.as_str()).collect();
    writeln!(output, "The configuration is good.")?;
    writeln!(output, "  network    {}", config.node.network.name())?;
    writeln!(output, "  nodes      {}", nodes.join(", "))?;
    writeln!(output, "  miners     {} (at most {} connections)", config.server.pool_listen, caps.connections_max)?;
    if let Some(certificate) = &loaded.certificate {
        let own_port = config.stratum.stratum_tls_listen.map(|listen| format!(" and {listen}")).unwrap_or_default();
        let (port, until) = (config.server.pool_listen, certificate.last_day());
        writeln!(output, "  TLS        {port}{own_port}; the certificate is valid until {until}")?;
    }
    writeln!(output, "  dashboard  {}", config.server.status_listen)?;
    if config.mining.pay_username_address {
        writeln!(
            output,
            "  paid       the address in the username; without one {}",
            payee(&config.mining.payout_address)
        )?;
    } else {
        writeln!(output, "  paid       {}", payee(&config.mining.payout_address))?;
    }
    writeln!(output, "  profile    {} ({chosen})", kind.name())?;
    writeln!(output, "  store      {}", config.store_path().display())?;
    advice.notes.iter().try_for_each(|note| writeln!(output, "  note       {note}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(overrides: &[&str]) -> (u8, String, String) {
        let sources =
            Sources { overrides: overrides.iter().map(|text| (*text).to_owned()).collect(), ..Sources::default() };
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let status = check_config(&sources, &mut output, &mut errors).expect("memory can be written");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (status, text(output), text(errors))
    }

    #[test]
    fn a_good_configuration_is_summarised() {
        let (status, output, errors) = check(&["node.network=regtest", "profile.kind=medium"]);
        assert_eq!(status, DONE);
        for expected in ["good", "regtest", "http://127.0.0.1:8332", ":3333", "medium (configured)", "256"] {
            assert!(output.contains(expected), "{expected} in {output}");
        }
        assert!(errors.starts_with("warning: "), "{errors}");
    }

    #[test]
    fn a_bad_one_exits_with_one_and_all_problems() {
        let (status, output, errors) = check(&["node.network=moon", "profile.kind=huge", "vardiff.max_step=1"]);
        assert_eq!(status, FAILED);
        assert_eq!(output, "");
        assert_eq!(errors.lines().count(), 4, "{errors}");
        assert!(errors.ends_with("3 problems found.\n"), "{errors}");
    }
}
