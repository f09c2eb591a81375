//! `warppool keys sv2`: the key that miners of Stratum V2 know the pool by, and the address that holds it.

use super::arguments::Sv2Key;
use super::exit_code::{BAD_CONFIGURATION, DONE, FAILED};
use super::machine;
use super::qr_code;
use crate::authority::{Origin, load_or_make};
use crate::config::{Config, Listen, Loaded, load};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use warppool_net::transport::noise::AuthorityPublicKey;
use warppool_net::transport::noise::first_generation::FirstGeneration;

/// Makes the key if there is none, and says where it is, its public half, and what miners are to be given; the result is the
/// exit status.
///
/// # Errors
/// When an output cannot be written.
pub fn sv2_key(arguments: &Sv2Key, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
    let loaded = match load(&arguments.sources()) {
        Ok(loaded) => loaded,
        Err(problems) => {
            problems.0.iter().try_for_each(|problem| writeln!(errors, "{problem}"))?;
            return Ok(BAD_CONFIGURATION);
        }
    };
    let Loaded { config, secrets, .. } = &loaded;
    match load_or_make(config, secrets) {
        Ok((key, origin)) => {
            describe(key.public(), &origin, &hosts(arguments, config), output)?;
            if let Some(listen) = config.stratum.sv2_first_generation_listen {
                describe_first_generation(&FirstGeneration::new(&key), listen, output)?;
            }
            Ok(DONE)
        }
        Err(error) => writeln!(errors, "error: {error}").map(|()| FAILED),
    }
}

fn describe(key: AuthorityPublicKey, origin: &Origin, hosts: &[String], output: &mut dyn Write) -> io::Result<()> {
    match origin {
        Origin::Secrets => writeln!(output, "The key of Stratum V2 is sv2_authority_secret_key of secrets.toml.")?,
        Origin::File(path) => writeln!(output, "The key of Stratum V2 is in {}.", path.display())?,
        Origin::Made(path) => writeln!(output, "A key for Stratum V2 was made: {}.", path.display())?,
    }
    writeln!(
        output,
        "Keep a copy of it in a safe place: with another key every miner needs a new address, and whoever has it can"
    )?;
    writeln!(output, "pose as this pool. It is never shown.\n")?;
    writeln!(output, "Public key:\n  {key}\n\nAddresses for miners of Stratum V2:")?;
    let addresses: Vec<String> = hosts.iter().map(|host| format!("stratum2+tcp://{host}/{key}")).collect();
    addresses.iter().try_for_each(|address| writeln!(output, "  {address}"))?;
    let code = addresses.first().and_then(|address| qr_code::lines(address));
    if let Some(code) = code {
        writeln!(output, "\nThe first of them as a QR code:\n")?;
        code.iter().try_for_each(|line| writeln!(output, "  {line}"))?;
    }
    Ok(())
}

fn describe_first_generation(keys: &FirstGeneration, listen: Listen, output: &mut dyn Write) -> io::Result<()> {
    writeln!(output, "\nFor peers of the first generation, on {listen}; they are given one of both, as they want it:")?;
    writeln!(output, "  authority's public key  {}", keys.authority_text())?;
    writeln!(output, "  static public key       {}", keys.static_text())
}

/// `HOST:PORT` of each way to the pool, the likeliest first.
fn hosts(arguments: &Sv2Key, config: &Config) -> Vec<String> {
    let listeners = config.stratum.sv2_listen.into_iter().chain([config.server.pool_listen]);
    let place = |listen: Listen| match (&arguments.host, listen) {
        (Some(host), listen) => vec![format!("{host}:{}", listen.port())],
        (None, Listen::One(address)) if !address.ip().is_unspecified() => vec![address.to_string()],
        (None, listen) => {
            let addresses = machine::lasting_addresses().into_iter().filter(|address| !address.is_loopback());
            // IPv4 first: few miners know anything else.
            let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.partition(IpAddr::is_ipv4);
            let place = |address| SocketAddr::new(address, listen.port()).to_string();
            let found: Vec<String> = v4.into_iter().chain(v6).map(place).collect();
            if found.is_empty() { vec![format!("localhost:{}", listen.port())] } else { found }
        }
    };
    listeners.flat_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &Sv2Key) -> (u8, String, String) {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let status = sv2_key(arguments, &mut output, &mut errors).expect("memory can be written");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (status, text(output), text(errors))
    }

    #[test]
    fn the_first_run_makes_a_key_and_every_run_shows_its_public_half_and_address_alone() {
        let place = tempfile::tempdir().expect("a directory");
        let config = place.path().join("config.toml");
        let store = place.path().join("data/warppool.redb");
        let text = format!(
            "[store]\npath = {store:?}\n[server]\npool_listen = \":3444\"\n[stratum]\nsv2_listen = \"192.0.2.1:3336\"\n"
        );
        std::fs::write(&config, text).expect("a file");
        let mut arguments =
            Sv2Key { config: Some(config), secrets: None, set: Vec::new(), host: Some("pool.example.com".into()) };
        let (status, first, errors) = run(&arguments);
        assert_eq!((status, errors.as_str()), (DONE, ""));
        assert!(first.contains("was made"), "{first}");
        let secret = std::fs::read_to_string(place.path().join("data/sv2-authority-key")).expect("the key");
        assert!(!first.contains(secret.trim()));
        let (status, second, _) = run(&arguments);
        assert!(status == DONE && !second.contains("was made"), "{second}");
        let key =
            |text: &str| text.lines().skip_while(|line| !line.starts_with("Public key")).nth(1).map(str::to_owned);
        assert_eq!(key(&first), key(&second));
        let key = key(&first).expect("a key").trim().to_owned();
        assert!(key.parse::<AuthorityPublicKey>().is_ok(), "{key}");
        for place in ["pool.example.com:3336", "pool.example.com:3444"] {
            assert!(second.contains(&format!("stratum2+tcp://{place}/{key}\n")), "{second}");
        }
        assert!(second.contains('█'));
        arguments.host = None;
        let (_, third, _) = run(&arguments);
        assert!(third.contains(&format!("stratum2+tcp://192.0.2.1:3336/{key}\n")), "{third}");
        assert!(!third.contains("first generation"), "{third}");
        arguments.set = vec!["stratum.sv2_first_generation_listen=:3337".into()];
        let (_, fourth, _) = run(&arguments);
        assert!(fourth.contains("first generation, on :3337") && fourth.contains("static public key"), "{fourth}");
        arguments.set = vec!["server.pool_listen=nowhere".into()];
        assert_eq!(run(&arguments).0, BAD_CONFIGURATION);
    }
}
