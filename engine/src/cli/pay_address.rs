//! An address on the command line, and the network that it belongs to.

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Network, ScriptBuf};
use std::str::FromStr;

/// The networks, first choice first: test networks share their addresses.
const NETWORKS: [(&str, Network); 4] = [
    ("mainnet", Network::Bitcoin),
    ("testnet4", Network::Testnet4),
    ("signet", Network::Signet),
    ("regtest", Network::Regtest),
];

/// A network by its name in our configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkName(pub Network);

impl FromStr for NetworkName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NETWORKS.iter().find(|(name, _)| *name == text).map(|(_, network)| Self(*network));
        found.ok_or_else(|| format!("there are {}", NETWORKS.map(|(name, _)| name).join(", ")))
    }
}

/// Who is to be paid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PayAddress {
    /// As it was typed.
    pub text: String,
    /// What outputs to it look like.
    pub script: ScriptBuf,
    /// The first network that it belongs to.
    pub network: Network,
    unchecked: Address<NetworkUnchecked>,
}

impl PayAddress {
    /// Whether it is an address of `network`.
    pub fn is_of(&self, network: Network) -> bool {
        self.unchecked.is_valid_for_network(network)
    }
}

impl FromStr for PayAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unchecked: Address<NetworkUnchecked> = text.parse().map_err(|error| format!("no address: {error}"))?;
        let network = NETWORKS.iter().map(|(_, network)| *network).find(|it| unchecked.is_valid_for_network(*it));
        let network = network.ok_or("an address of no network that is known here")?;
        let script = unchecked.assume_checked_ref().script_pubkey();
        Ok(Self { text: text.to_owned(), script, network, unchecked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_its_network() {
        for (text, network) in [
            ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", Network::Bitcoin),
            ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", Network::Regtest),
            ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", Network::Testnet4),
        ] {
            let address: PayAddress = text.parse().expect(text);
            assert_eq!(address.network, network, "{text}");
            assert!(address.is_of(network));
        }
        let shared: PayAddress = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx".parse().expect("valid");
        assert!(shared.is_of(Network::Signet) && !shared.is_of(Network::Bitcoin));
        assert!("bc1qnope".parse::<PayAddress>().is_err());
    }
}
