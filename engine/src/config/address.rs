//! Bitcoin addresses of the operator, checked against the configured network.

use bitcoin::Address;
use bitcoin::address::NetworkUnchecked;
use std::sync::Arc;
use warppool_components::settings::{Network, Payee};

/// The output script of an address of `network`.
///
/// # Errors
/// A sentence that says what is wrong: no address at all, or which network it belongs to instead.
pub(super) fn payee(text: &str, network: Network) -> Result<Payee, String> {
    let address: Address<NetworkUnchecked> =
        text.parse().map_err(|error| format!("is not a Bitcoin address: {error}"))?;
    if !address.is_valid_for_network(of_crate(network)) {
        let owners = owners(&address);
        return Err(format!("is an address of {owners}, but node.network is {}", network.name()));
    }
    let script = address.assume_checked().script_pubkey();
    Ok(Payee { address: text.into(), script: Arc::from(script.as_bytes()) })
}

/// The network as the crate `bitcoin` names it.
const fn of_crate(network: Network) -> bitcoin::Network {
    match network {
        Network::Mainnet => bitcoin::Network::Bitcoin,
        Network::Testnet4 => bitcoin::Network::Testnet4,
        Network::Signet => bitcoin::Network::Signet,
        Network::Regtest => bitcoin::Network::Regtest,
    }
}

/// The networks an address is good for: test networks share their prefixes.
fn owners(address: &Address<NetworkUnchecked>) -> String {
    let names = Network::ALL.into_iter().filter(|network| address.is_valid_for_network(of_crate(*network)));
    names.map(Network::name).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_address_is_told_its_network() {
        // Address and its script: BIP173 test vectors.
        let main = "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4";
        let test = "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7";
        let found = payee(main, Network::Mainnet).expect("mainnet address");
        assert_eq!(found.script.len(), 22);
        assert_eq!(found.script[..3], [0x00, 0x14, 0x75]);
        assert!(payee(test, Network::Signet).is_ok());
        let error = payee(test, Network::Mainnet).expect_err("other network");
        assert!(error.contains("testnet4 or signet") && error.contains("mainnet"), "{error}");
        let error = payee(main, Network::Regtest).expect_err("other network");
        assert!(error.contains("an address of mainnet") && error.contains("regtest"), "{error}");
        assert!(payee("bc1qnonsense", Network::Mainnet).expect_err("no address").contains("not a Bitcoin address"));
    }
}
