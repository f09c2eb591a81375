//! Usernames: who is paid and whom a share credits.
//!
//! `address.worker`, split at the first dot, or at an underscore when what precedes it is a valid address. The
//! address is checked here, against the operator's network.

use bitcoin::Address;
use bitcoin::address::NetworkUnchecked;
use std::str::FromStr;
use std::sync::Arc;
use warppool_components::limits::{USERNAME_BYTES_MAX, WORKER_NAME_BYTES_MAX};
use warppool_components::settings::{Network, Payee, PayoutSettings};
use warppool_components::units::Difficulty;

/// Firmware of Avalon cuts usernames at this length.
const CUT_AT_BYTES: usize = 63;

/// What a username says.
#[derive(Clone, PartialEq, Debug)]
pub struct Identity {
    /// The address, or what stands in its place when the fallback is paid.
    pub address: Arc<str>,
    /// The worker's own name, may be empty.
    pub name: Arc<str>,
    /// `address.name`, or the address alone.
    pub label: Arc<str>,
    /// Who is paid.
    pub payee: Payee,
}

/// Why a username is refused, in a sentence for the miner's owner.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IdentityError {
    /// Nothing in it.
    #[error("the username is empty; use YOUR_BITCOIN_ADDRESS.worker")]
    Empty,
    /// Longer than anybody needs.
    #[error("the username has {0} bytes, at most {USERNAME_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// A good address of another network.
    #[error("the address {address} is not one of {expected}, which this pool mines")]
    OtherNetwork {
        /// The address.
        address: String,
        /// The pool's network.
        expected: &'static str,
    },
    /// No address, and no fallback.
    #[error("\"{text}\" is no Bitcoin address ({why}); use YOUR_BITCOIN_ADDRESS.worker{hint}")]
    NoAddress {
        /// What stands where the address should.
        text: String,
        /// The address library's words.
        why: String,
        /// Something that explains it, or nothing.
        hint: &'static str,
    },
}

/// Reads a username.
///
/// # Errors
/// [`IdentityError`] when it names nobody who can be paid.
pub fn identify(username: &str, network: Network, settings: &PayoutSettings) -> Result<Identity, IdentityError> {
    let username = username.trim();
    if username.is_empty() {
        return Err(IdentityError::Empty);
    }
    if username.len() > USERNAME_BYTES_MAX {
        return Err(IdentityError::TooLong(username.len()));
    }
    let (written, name) = split(username, network);
    let name = cut(name, WORKER_NAME_BYTES_MAX);
    let address = settings.aliases.get(written).map_or(written, String::as_str);
    let payee = match (payee(address, network), &settings.fallback) {
        (Ok(own), _) if settings.pay_username_address => own,
        // Another pool pays: who mines here is a name and nothing else.
        (_, Some(fallback)) if fallback.is_upstream() => fallback.clone(),
        // The operator has the whole reward, whoever finds it.
        (Ok(_), Some(fallback)) => fallback.clone(),
        (Ok(own), None) => own,
        (Err(error @ IdentityError::OtherNetwork { .. }), _) => return Err(error),
        (Err(_), Some(fallback)) => fallback.clone(),
        (Err(error), None) => return Err(with_hint(error, username)),
    };
    Ok(Identity { address: address.into(), name: name.into(), label: label(address, name), payee })
}

/// `address.name`, or the address alone.
fn label(address: &str, name: &str) -> Arc<str> {
    if name.is_empty() { address.into() } else { format!("{address}.{name}").into() }
}

fn split(username: &str, network: Network) -> (&str, &str) {
    if let Some(parts) = username.split_once('.') {
        return parts;
    }
    username.split_once('_').filter(|(address, _)| payee(address, network).is_ok()).unwrap_or((username, ""))
}

/// Cuts at a character, not within one.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn with_hint(error: IdentityError, username: &str) -> IdentityError {
    match error {
        IdentityError::NoAddress { text, why, .. } if username.len() == CUT_AT_BYTES => IdentityError::NoAddress {
            text,
            why,
            hint: "; your firmware seems to cut usernames at 63 characters: ask the operator for an alias",
        },
        other => other,
    }
}

/// The output script of an address of `network`: P2PKH, P2SH and every witness version.
///
/// # Errors
/// [`IdentityError`] when the text is no address, or one of another network.
pub fn payee(text: &str, network: Network) -> Result<Payee, IdentityError> {
    let unchecked = Address::<NetworkUnchecked>::from_str(text).map_err(|error| IdentityError::NoAddress {
        text: cut(text, CUT_AT_BYTES).to_owned(),
        why: error.to_string(),
        hint: "",
    })?;
    let address = unchecked
        .require_network(library_network(network))
        .map_err(|_| IdentityError::OtherNetwork { address: text.to_owned(), expected: network.name() })?;
    Ok(Payee { address: text.into(), script: address.script_pubkey().as_bytes().into() })
}

/// Our network in the terms of crate `bitcoin`.
pub const fn library_network(network: Network) -> bitcoin::Network {
    match network {
        Network::Mainnet => bitcoin::Network::Bitcoin,
        Network::Testnet4 => bitcoin::Network::Testnet4,
        Network::Signet => bitcoin::Network::Signet,
        Network::Regtest => bitcoin::Network::Regtest,
    }
}

/// What a miner's password asks for: `d=N` pins the difficulty, `md=N` sets this worker's floor. Anything else in
/// it is ignored.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct PasswordOptions {
    /// Pinned difficulty.
    pub pin: Option<Difficulty>,
    /// Easiest difficulty for this worker.
    pub floor: Option<Difficulty>,
}

/// Reads the options of a password, separated by commas, semicolons or spaces.
pub fn password_options(password: &str) -> PasswordOptions {
    let mut options = PasswordOptions::default();
    for part in password.split([',', ';', ' ']) {
        let Some((key, value)) = part.split_once('=') else { continue };
        let value = value.trim().parse().ok().and_then(|value| Difficulty::new(value).ok());
        match key.trim() {
            "d" => options.pin = value.or(options.pin),
            "md" => options.floor = value.or(options.floor),
            _ => {}
        }
    }
    options
}

/// Whether a miner's password holds the one that the operator asks for, alone or among options.
pub fn password_matches(given: &str, asked: &str) -> bool {
    asked.is_empty() || given == asked || given.split([',', ';']).any(|part| part.trim() == asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const P2PKH: &str = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";
    const P2SH: &str = "3P14159f73E4gFr7JterCCQh9QjiTjiZrG";
    const P2WPKH: &str = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";
    const P2WSH: &str = "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3";
    const P2TR: &str = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0";
    const REGTEST: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

    fn settings() -> PayoutSettings {
        PayoutSettings { pay_username_address: true, ..PayoutSettings::default() }
    }

    fn mainnet(username: &str) -> Result<Identity, IdentityError> {
        identify(username, Network::Mainnet, &settings())
    }

    #[test]
    fn every_kind_of_address_is_paid_by_its_own_script() {
        for (address, opcode, bytes) in
            [(P2PKH, 0x76, 25), (P2SH, 0xa9, 23), (P2WPKH, 0, 22), (P2WSH, 0, 34), (P2TR, 0x51, 34)]
        {
            let identity = mainnet(address).expect(address);
            assert_eq!((identity.payee.script[0], identity.payee.script.len()), (opcode, bytes), "{address}");
            assert_eq!((&*identity.label, &*identity.name), (address, ""));
        }
    }

    #[test]
    fn the_name_follows_the_first_dot_or_an_underscore_after_an_address() {
        let name = |username: &str| mainnet(username).map(|identity| identity.name.to_string());
        assert_eq!(name(&format!("{P2WPKH}.rig.7")), Ok("rig.7".into()));
        assert_eq!(name(&format!("{P2WPKH}_rig")), Ok("rig".into()));
        assert_eq!(name(&format!("  {P2WPKH}.rig ")), Ok("rig".into()));
        assert_eq!(name(&format!("{P2WPKH}.{}", "é".repeat(60))).map(|name| name.len()), Ok(64));
    }

    #[test]
    fn defect_21_a_taproot_address_with_a_long_name_is_fine_and_a_cut_one_gets_a_hint() {
        let username = format!("{P2TR}.{}", "w".repeat(32));
        assert_eq!(mainnet(&username).expect("valid").name.len(), 32);
        let address = P2WSH.replace("bc1q", "bc1qqq");
        let error = mainnet(&address[..63]).expect_err("cut").to_string();
        assert!(error.contains("63 characters") && error.contains("alias"), "{error}");
    }

    #[test]
    fn addresses_of_other_networks_are_refused_by_name_even_when_there_is_a_fallback() {
        let error = mainnet(&format!("{REGTEST}.a")).expect_err("other network");
        assert_eq!(error.to_string(), format!("the address {REGTEST} is not one of mainnet, which this pool mines"));
        let fallback = Some(payee(P2PKH, Network::Mainnet).expect("valid"));
        let settings = PayoutSettings { fallback, ..settings() };
        assert!(identify(REGTEST, Network::Mainnet, &settings).is_err());
    }

    #[test]
    fn without_an_address_the_fallback_is_paid_if_there_is_one() {
        assert!(matches!(mainnet("bob.rig"), Err(IdentityError::NoAddress { .. })));
        assert_eq!(mainnet(" "), Err(IdentityError::Empty));
        assert_eq!(mainnet(&"x".repeat(257)), Err(IdentityError::TooLong(257)));
        let fallback = payee(P2PKH, Network::Mainnet).expect("valid");
        let settings = PayoutSettings { fallback: Some(fallback.clone()), ..settings() };
        let identity = identify("bob.rig", Network::Mainnet, &settings).expect("fallback");
        assert_eq!((&*identity.label, identity.payee), ("bob.rig", fallback));
    }

    #[test]
    fn an_alias_stands_for_an_address() {
        let mut settings = settings();
        settings.aliases.insert("home".into(), P2TR.into());
        let identity = identify("home.rig", Network::Mainnet, &settings).expect("an alias");
        assert_eq!((&*identity.payee.address, &*identity.label), (P2TR, &*format!("{P2TR}.rig")));
    }

    #[test]
    fn passwords_hold_options_and_the_operators_word() {
        let pinned = |password| password_options(password).pin.map(Difficulty::value);
        assert_eq!(pinned("d=1024"), Some(1024.0));
        assert_eq!(pinned("x,d=0.5;md=0.25"), Some(0.5));
        assert_eq!(pinned("x"), None);
        assert_eq!(pinned("d=-3"), None);
        assert_eq!(pinned("d=nan"), None);
        assert_eq!(password_options("md=8").floor.map(Difficulty::value), Some(8.0));
        assert!(password_matches("anything", ""));
        assert!(password_matches("secret,d=5", "secret"));
        assert!(!password_matches("x", "secret"));
    }
}
