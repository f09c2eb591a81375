//! Blocks that every node of a network has at their heights: whoever has others is on another chain, whatever name it
//! gives. Data, and the comparison.
//!
//! The genesis block tells networks apart, a later block what split off since under the same name and genesis block.
//! A node is only asked for heights that it has reached. On signet and regtest there are as many chains as people who
//! start one, all with one genesis block; of a signet the template's challenge says more (see `template`).

use warppool_components::settings::Network;
use warppool_components::units::Hash256;

/// A block that is known to be in a network's chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pin {
    pub(super) height: u32,
    /// Its hash in display order.
    hash: &'static str,
}

impl Pin {
    pub(super) fn hash(&self) -> Hash256 {
        Hash256::parse_display(self.hash).expect("a constant of this file; a test parses them all")
    }
}

const fn pin(height: u32, hash: &'static str) -> Pin {
    Pin { height, hash }
}

/// Bitcoin Core, src/kernel/chainparams.cpp: `hashGenesisBlock`; the former `checkpointData` (the first halving);
/// `SegwitHeight`, the first well-known block after Bitcoin Cash split off; `m_assumeutxo_data`.
const MAINNET: [Pin; 4] = [
    pin(0, "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
    pin(210_000, "000000000000048b95347e83192f69cf0366076336c639f9b7228e9ba171342e"),
    pin(481_824, "0000000000000000001c8018d9cb3b742ef25114f27563e3fc4a1902167f9893"),
    pin(840_000, "0000000000000000000320283a032748cef8227873ff4872689bf23f1cda83a5"),
];

/// Same file: `hashGenesisBlock`, `m_assumeutxo_data`.
const TESTNET4: [Pin; 2] = [
    pin(0, "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"),
    pin(90_000, "0000000002ebe8bcda020e0dd6ccfbdfac531d2f6a81457191b99fc2df2dbe3b"),
];

/// Same file: `hashGenesisBlock`, which all signets have in common (BIP325).
const SIGNET: [Pin; 1] = [pin(0, "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6")];

/// Same file: `hashGenesisBlock`.
const REGTEST: [Pin; 1] = [pin(0, "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206")];

/// The blocks of `network`, lowest first.
pub(super) const fn pins(network: Network) -> &'static [Pin] {
    match network {
        Network::Mainnet => &MAINNET,
        Network::Testnet4 => &TESTNET4,
        Network::Signet => &SIGNET,
        Network::Regtest => &REGTEST,
    }
}

/// A node has another block than it must have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stranger {
    pub(super) height: u32,
    /// What the node says.
    pub(super) found: Hash256,
    /// What every node of the network has there.
    pub(super) expected: Hash256,
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hashes::Hash;

    #[test]
    fn the_first_pin_is_the_genesis_block_and_heights_rise() {
        let networks = [
            (Network::Mainnet, bitcoin::Network::Bitcoin),
            (Network::Testnet4, bitcoin::Network::Testnet4),
            (Network::Signet, bitcoin::Network::Signet),
            (Network::Regtest, bitcoin::Network::Regtest),
        ];
        for (ours, theirs) in networks {
            let genesis = bitcoin::constants::genesis_block(theirs).block_hash().to_byte_array();
            assert_eq!((pins(ours)[0].height, pins(ours)[0].hash().as_internal()), (0, &genesis), "{ours:?}");
            assert!(pins(ours).is_sorted_by(|one, other| one.height < other.height));
            // Proof of work is what makes up a hash: a mistyped digit at the start would show.
            let zeros = if ours == Network::Regtest { "0" } else { "0000000" };
            assert!(pins(ours).iter().all(|pin| pin.hash().to_string().starts_with(zeros)), "{ours:?}");
        }
    }
}
