//! Usernames and passwords of miners: who is paid is whom crate `bitcoin` reads, on the pool's network alone.
//!
//! Input: a byte that chooses network and settings, then the username; behind a line end the password and behind another
//! the one that the operator asks for. `$0` to `$9` in a username stand for addresses, since none is met by chance.

use crate::bytes::Bytes;
use bitcoin::address::{Address, NetworkUnchecked};
use std::str::FromStr;
use std::sync::LazyLock;
use warppool_components::limits::{USERNAME_BYTES_MAX, WORKER_NAME_BYTES_MAX};
use warppool_components::settings::{Network, Payee, PayoutSettings};
use warppool_systems::identity::{
    Identity, IdentityError, identify, library_network, password_matches, password_options, payee,
};

/// One of each kind, and some of each network.
const ADDRESSES: [&str; 10] = [
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "3P14159f73E4gFr7JterCCQh9QjiTjiZrG",
    "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
    "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
    "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
    "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
    "BC1QAR0SRRR7XFKVY5L643LYDNW9RE59GTZZWF5MDQ",
    "bc1sw50qgdz25j",
];

/// The payout settings for each choice of the first byte.
static SETTINGS: LazyLock<Vec<PayoutSettings>> = LazyLock::new(|| (0..8).map(settings).collect());

fn settings(choice: u8) -> PayoutSettings {
    let fallback = payee(ADDRESSES[0], Network::Mainnet).expect("an address of mainnet");
    let mut settings = PayoutSettings {
        pay_username_address: choice & 1 != 0,
        fallback: (choice & 2 != 0).then_some(fallback),
        ..PayoutSettings::default()
    };
    if choice & 4 != 0 {
        settings.aliases.insert("home".into(), ADDRESSES[4].into());
    }
    settings
}

/// Runs one input.
pub fn check(data: &[u8]) {
    let mut bytes = Bytes(data);
    let choice = bytes.byte();
    let text = String::from_utf8_lossy(bytes.rest());
    let mut parts = text.split('\n');
    let username = with_addresses(parts.next().unwrap_or_default());
    let network = Network::ALL[usize::from(choice >> 3) % Network::ALL.len()];
    let settings = &SETTINGS[usize::from(choice & 7)];
    match identify(&username, network, settings) {
        Ok(identity) => check_identity(&identity, &username, network, settings),
        Err(error) => check_refusal(&error, &username, network, settings),
    }
    let (given, asked) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    check_password(given, asked);
}

fn with_addresses(text: &str) -> String {
    let mut parts = text.split('$');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.chars().next().and_then(|digit| digit.to_digit(10)) {
            Some(digit) => whole.extend([ADDRESSES[digit as usize], &part[1..]]),
            None => whole.extend(["$", part]),
        }
    }
    whole
}

fn script(address: &str, network: Network) -> Option<Vec<u8>> {
    let address = Address::<NetworkUnchecked>::from_str(address).ok()?;
    Some(address.require_network(library_network(network)).ok()?.script_pubkey().into_bytes())
}

fn check_identity(identity: &Identity, username: &str, network: Network, settings: &PayoutSettings) {
    let Identity { address, name, label, payee: Payee { address: paid, script: output } } = identity;
    assert!(name.len() <= WORKER_NAME_BYTES_MAX && !username.trim().is_empty());
    let expected = if name.is_empty() { address.to_string() } else { format!("{address}.{name}") };
    assert_eq!(**label, expected);
    assert!(username.contains(&**name), "a name that nobody gave");
    let own = script(address, network);
    match (own, &settings.fallback) {
        (Some(own), fallback) if settings.pay_username_address || fallback.is_none() => {
            assert_eq!((**output).to_vec(), own, "somebody else is paid than {address}");
            assert_eq!(paid, address);
        }
        (_, Some(fallback)) => assert_eq!(&identity.payee, fallback),
        (_, None) => panic!("nobody can be paid for {username}"),
    }
    let known = settings.aliases.values().any(|known| **known == **address);
    assert!(known || username.contains(&**address), "an address that nobody gave");
}

fn check_refusal(error: &IdentityError, username: &str, network: Network, settings: &PayoutSettings) {
    let username = username.trim();
    assert!(error.to_string().len() < 2 * USERNAME_BYTES_MAX + 200, "a sentence without end");
    match error {
        IdentityError::Empty => assert!(username.is_empty()),
        IdentityError::TooLong(bytes) => assert!(*bytes == username.len() && *bytes > USERNAME_BYTES_MAX),
        IdentityError::OtherNetwork { address, .. } => {
            assert!(Address::<NetworkUnchecked>::from_str(address).is_ok(), "{address} is an address of no network");
            assert_eq!(script(address, network), None, "{address} is one of {network:?}");
        }
        IdentityError::NoAddress { .. } => {
            assert!(settings.fallback.is_none(), "there is a fallback");
            assert_eq!(script(username, network), None, "{username} is an address");
        }
    }
}

fn check_password(given: &str, asked: &str) {
    let options = password_options(given);
    for difficulty in [options.pin, options.floor].into_iter().flatten() {
        assert!(difficulty.value() > 0.0 && difficulty.value().is_finite());
    }
    let matches = password_matches(given, asked);
    assert!(matches || !(asked.is_empty() || given == asked));
    assert!(!matches || given.contains(asked), "{given:?} does not hold {asked:?}");
}
