//! From the JSON of `getblocktemplate` (BIP22, BIP23, BIP145) to a checked [`Template`].
//!
//! A template is refused whole rather than repaired: work on a block that the network will not take is worth
//! less than the older work that miners still have. What is checked is all that can be known without validating
//! transactions: `bits` against `target`, the witness commitment against our own computation, the value of the
//! coinbase against subsidy and fees, rules that we do not know. The transactions themselves are the node's word.
//!
//! Megabytes pass through here, so text is borrowed from the answer and every hexadecimal digit is read once.

use super::merkle::{self, LevelHasher};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;
use warppool_components::limits::MERKLE_BRANCHES_MAX;
use warppool_components::settings::Network;
use warppool_components::template::{Template, TemplateId, TemplateKind};
use warppool_components::units::{CompactTargetError, Hash256, HexError, Sats, Target, UnixTime};

/// Bits of the version that miners may roll: BIP320's `1fffe000` and what some firmware asks for beyond it.
const ROLLABLE_VERSION_BITS: u32 = 0x1fff_ffe0;

/// Blocks between two retargets.
const RETARGET_INTERVAL: u32 = 2016;

/// Rules that our blocks heed, of those that a node may mark with `!` as "do not mine without knowing this".
const KNOWN_RULES: [&str; 4] = ["csv", "segwit", "taproot", "signet"];

/// The script that everything satisfies, as the hexadecimal digits of `signet_challenge`.
const OP_TRUE_HEX: &str = "51";

/// Weight of a block that consensus allows.
const BLOCK_WEIGHT_MAX: u64 = 4_000_000;

/// Why a template is not mined on.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// Not the JSON of a template. The message names line and column.
    #[error("the template is not as getblocktemplate describes it: {0}")]
    Json(#[from] serde_json::Error),
    /// A hash that is none.
    #[error("the template's {place}: {source}")]
    Hash {
        /// Which field.
        place: String,
        /// What is wrong with it.
        source: HexError,
    },
    /// Text that should be hexadecimal.
    #[error("the template's {place} is not hexadecimal: {why}")]
    Hex {
        /// Which field.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// `bits` that no target belongs to.
    #[error("the template's bits: {0}")]
    Bits(#[from] CompactTargetError),
    /// `bits` and `target` contradict each other.
    #[error("the template's target {target} is not what its bits {bits:08x} mean, {expected}")]
    TargetMismatch {
        /// The field `bits`.
        bits: u32,
        /// The field `target`.
        target: Target,
        /// What `bits` mean.
        expected: Target,
    },
    /// The commitment does not belong to the transactions: the block would be refused.
    #[error("the template's default_witness_commitment is {found}, its transactions give {expected}: not mined on")]
    WitnessCommitment {
        /// What the node says.
        found: String,
        /// Our own computation.
        expected: String,
    },
    /// There are witnesses but nothing commits to them.
    #[error("the template has transactions with witnesses but no default_witness_commitment")]
    WitnessCommitmentMissing,
    /// Outputs of the coinbase would be worth less than the fees, or more than consensus allows.
    #[error("the template's coinbasevalue of {value} does not fit to its fees of {fees} and a subsidy of {subsidy}")]
    CoinbaseValue {
        /// The field `coinbasevalue`.
        value: Sats,
        /// Sum of the transactions' fees.
        fees: Sats,
        /// The subsidy of its height.
        subsidy: Sats,
    },
    /// More than a block may hold.
    #[error("the template's {what} of {found} exceeds {allowed}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        found: u64,
        /// How large it may be.
        allowed: u64,
    },
    /// The node demands a rule that this version of the pool does not know.
    #[error("the template demands the rule {0}, which this version of the pool does not know")]
    UnknownRule(String),
    /// Blocks of this signet must be signed, which the pool cannot do (BIP325).
    #[error(
        "blocks of this signet must satisfy its challenge {0}, which needs a signature that the pool cannot make: only \
         a signet of one's own with the challenge 51 (OP_TRUE) can be mined"
    )]
    SignetChallenge(String),
    /// Its time is before the earliest that consensus allows.
    #[error("the template's curtime {current} is before its mintime {min}")]
    Time {
        /// The field `curtime`, in seconds.
        current: u64,
        /// The field `mintime`, in seconds.
        min: u64,
    },
}

/// The fields of `getblocktemplate` that are used, borrowed from the answer.
#[derive(Deserialize, Debug)]
pub struct RawTemplate<'a> {
    version: i32,
    #[serde(default)]
    rules: Vec<String>,
    #[serde(default)]
    vbrequired: u32,
    #[serde(borrow)]
    previousblockhash: Cow<'a, str>,
    #[serde(borrow)]
    transactions: Vec<RawTransaction<'a>>,
    coinbasevalue: u64,
    #[serde(borrow, default)]
    longpollid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    target: Cow<'a, str>,
    mintime: u64,
    curtime: u64,
    #[serde(borrow)]
    bits: Cow<'a, str>,
    height: u32,
    #[serde(borrow, default)]
    default_witness_commitment: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    signet_challenge: Option<Cow<'a, str>>,
}

/// One transaction of a template. `hash` is the wtxid.
#[derive(Deserialize, Debug)]
struct RawTransaction<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(borrow)]
    txid: Cow<'a, str>,
    #[serde(borrow)]
    hash: Cow<'a, str>,
    fee: u64,
    weight: u64,
}

/// A template that passed all checks.
#[derive(Debug)]
pub struct CheckedTemplate {
    /// The template; its `id` is 0 until whoever hands it out gives it a number.
    pub template: Template,
    /// What to ask with so that the node answers when there is something newer.
    pub longpoll_id: Option<String>,
}

/// Parses and checks the JSON object that `getblocktemplate` gives as its result.
///
/// # Errors
/// [`TemplateError`] says which field is wrong and why the template is not mined on.
pub fn parse(
    json: &[u8],
    network: Network,
    received_at: UnixTime,
    hasher: &LevelHasher,
) -> Result<CheckedTemplate, TemplateError> {
    serde_json::from_slice::<RawTemplate<'_>>(json)?.check(network, received_at, hasher)
}

impl RawTemplate<'_> {
    /// Checks a parsed template.
    ///
    /// # Errors
    /// [`TemplateError`] says which field is wrong and why the template is not mined on.
    pub fn check(
        &self,
        network: Network,
        received_at: UnixTime,
        hasher: &LevelHasher,
    ) -> Result<CheckedTemplate, TemplateError> {
        self.check_rules()?;
        self.check_challenge(network)?;
        let (bits, network_target) = self.check_target()?;
        let fees = self.check_value(network)?;
        let weight = self.check_size()?;
        if self.curtime < self.mintime {
            return Err(TemplateError::Time { current: self.curtime, min: self.mintime });
        }
        let txids = self.ids("txid", |transaction| &transaction.txid)?;
        let witness_commitment = self.check_commitment(&txids, hasher)?;
        let template = Template {
            id: TemplateId(0),
            kind: TemplateKind::Full,
            height: self.height,
            version: base_version(self.version as u32, self.vbrequired),
            previous_block: parse_hash("previousblockhash", &self.previousblockhash)?,
            bits,
            network_target,
            current_time: UnixTime::from_seconds(self.curtime),
            min_time: UnixTime::from_seconds(self.mintime),
            coinbase_value: Sats(self.coinbasevalue),
            fees,
            witness_commitment,
            merkle_branches: merkle::coinbase_branches(&txids, hasher).into(),
            transaction_count: self.transactions.len() as u32,
            transactions: self.decode_transactions()?.into(),
            weight,
            received_at,
        };
        Ok(CheckedTemplate { template, longpoll_id: self.longpollid.as_ref().map(|id| id.to_string()) })
    }

    fn check_rules(&self) -> Result<(), TemplateError> {
        let demanded = self.rules.iter().filter_map(|rule| rule.strip_prefix('!'));
        match demanded.into_iter().find(|rule| !KNOWN_RULES.contains(rule)) {
            Some(rule) => Err(TemplateError::UnknownRule(rule.to_owned())),
            None => Ok(()),
        }
    }

    /// On signet a block without a solution is valid under a challenge that is trivially true, and under no other.
    fn check_challenge(&self, network: Network) -> Result<(), TemplateError> {
        let challenge = self.signet_challenge.as_deref().unwrap_or("that it does not name");
        if network == Network::Signet && challenge != OP_TRUE_HEX {
            return Err(TemplateError::SignetChallenge(challenge.chars().take(200).collect()));
        }
        Ok(())
    }

    fn check_target(&self) -> Result<(u32, Target), TemplateError> {
        let bits = u32::from_str_radix(&self.bits, 16)
            .map_err(|error| TemplateError::Hex { place: "bits".to_owned(), why: error.to_string() })?;
        let expected = Target::from_compact(bits)?;
        let target = Target::from_big_endian(parse_hash("target", &self.target)?.to_display());
        if target == expected {
            Ok((bits, target))
        } else {
            Err(TemplateError::TargetMismatch { bits, target, expected })
        }
    }

    /// The sum of the fees. The coinbase may claim at most that and the subsidy (consensus); claiming less than
    /// the fees means that the node and we disagree about what is in the block.
    fn check_value(&self, network: Network) -> Result<Sats, TemplateError> {
        let fees = self.transactions.iter().fold(0u64, |sum, transaction| sum.saturating_add(transaction.fee));
        let subsidy = Sats::subsidy(self.height, network.halving_interval());
        if self.coinbasevalue < fees || self.coinbasevalue > fees.saturating_add(subsidy.0) {
            return Err(TemplateError::CoinbaseValue { value: Sats(self.coinbasevalue), fees: Sats(fees), subsidy });
        }
        Ok(Sats(fees))
    }

    fn check_size(&self) -> Result<u64, TemplateError> {
        let too_large = |what, found, allowed| Err(TemplateError::TooLarge { what, found, allowed });
        let count_max = (1u64 << MERKLE_BRANCHES_MAX) - 1;
        if self.transactions.len() as u64 > count_max {
            return too_large("number of transactions", self.transactions.len() as u64, count_max);
        }
        let weight = self.transactions.iter().fold(0u64, |sum, transaction| sum.saturating_add(transaction.weight));
        if weight > BLOCK_WEIGHT_MAX {
            return too_large("weight", weight, BLOCK_WEIGHT_MAX);
        }
        Ok(weight)
    }

    /// The commitment's scriptPubKey, equal to our own computation. Absent when the node gives none and no
    /// transaction has a witness: segwit is not active.
    fn check_commitment(&self, txids: &[Hash256], hasher: &LevelHasher) -> Result<Option<Arc<[u8]>>, TemplateError> {
        let wtxids = self.ids("hash", |transaction| &transaction.hash)?;
        let Some(found) = &self.default_witness_commitment else {
            return if wtxids == txids { Ok(None) } else { Err(TemplateError::WitnessCommitmentMissing) };
        };
        let expected = merkle::witness_commitment_script(&wtxids, hasher);
        match const_hex::decode(found.as_bytes()) {
            Ok(script) if script == expected => Ok(Some(script.into())),
            _ => Err(TemplateError::WitnessCommitment {
                found: found.chars().take(2 * expected.len()).collect(),
                expected: const_hex::encode(expected),
            }),
        }
    }

    fn ids<'s>(
        &'s self,
        field: &str,
        of: impl Fn(&'s RawTransaction<'s>) -> &'s str,
    ) -> Result<Vec<Hash256>, TemplateError> {
        let parse = |(index, transaction)| {
            let text = of(transaction);
            const_hex::decode_to_array::<_, 32>(text).map(Hash256::from_display).or_else(|_| {
                // The slow way only to say what is wrong.
                parse_hash(&format!("transactions[{index}].{field}"), text)
            })
        };
        self.transactions.iter().enumerate().map(parse).collect()
    }

    fn decode_transactions(&self) -> Result<Vec<u8>, TemplateError> {
        let mut bytes = vec![0; self.transactions.iter().map(|transaction| transaction.data.len() / 2).sum()];
        let mut rest = bytes.as_mut_slice();
        for (index, transaction) in self.transactions.iter().enumerate() {
            let error = |why| TemplateError::Hex { place: format!("transactions[{index}].data"), why };
            if transaction.data.is_empty() {
                return Err(error("it is empty".to_owned()));
            }
            let (place, behind) = rest.split_at_mut(transaction.data.len() / 2);
            const_hex::decode_to_slice(transaction.data.as_bytes(), place).map_err(|why| error(why.to_string()))?;
            rest = behind;
        }
        Ok(bytes)
    }
}

fn parse_hash(place: &str, text: &str) -> Result<Hash256, TemplateError> {
    Hash256::parse_display(text).map_err(|source| TemplateError::Hash { place: place.to_owned(), source })
}

/// The header version without the bits that miners may roll. Bits there signal readiness for deployments, which
/// is ours to leave out; those that the node requires (`vbrequired`) stay set, although a miner may then roll
/// them away: Core has never required one, and a template is worth more than the doubt.
fn base_version(version: u32, required: u32) -> u32 {
    version & !(ROLLABLE_VERSION_BITS & !required)
}

/// What is known of a tip: enough to mine an empty block on it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Tip {
    /// Its hash.
    pub hash: Hash256,
    /// Its height.
    pub height: u32,
    /// `nBits` of its header.
    pub bits: u32,
    /// Time in its header.
    pub time: UnixTime,
    /// Median of the times of the eleven blocks that end with it.
    pub median_time: UnixTime,
}

/// Work on a new tip before the node has put a template together: no transactions, only the subsidy.
///
/// It is valid because the node has validated the tip, and the next block's `nBits` are the tip's own; where that
/// is not sure there is none: at the start of a retarget period and under the minimum-difficulty rule. Version and
/// the question whether segwit is active are taken from `last`, the latest full template. The witness commitment
/// of an empty block is still put in: consensus does not ask for it, but accepts it, and so the coinbase has the
/// same shape and goes the same, tested way as that of a full job.
pub fn subsidy_only(tip: &Tip, last: &Template, network: Network, now: UnixTime) -> Option<Template> {
    let height = tip.height.checked_add(1)?;
    if height % RETARGET_INTERVAL == 0 || network.has_minimum_difficulty_rule() {
        return None;
    }
    let min_time = UnixTime::from_seconds(tip.median_time.seconds() + 1);
    let commitment = last.witness_commitment.as_ref().map(|_| {
        let script = merkle::witness_commitment_script(&[], &LevelHasher::default());
        script.into()
    });
    Some(Template {
        id: TemplateId(0),
        kind: TemplateKind::SubsidyOnly,
        height,
        version: last.version,
        previous_block: tip.hash,
        bits: tip.bits,
        network_target: Target::from_compact(tip.bits).ok()?,
        current_time: last.time_at(now).max(min_time),
        min_time,
        coinbase_value: Sats::subsidy(height, network.halving_interval()),
        fees: Sats::ZERO,
        witness_commitment: commitment,
        merkle_branches: Arc::new([]),
        transaction_count: 0,
        transactions: Arc::new([]),
        weight: 0,
        received_at: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::consensus::encode::deserialize;
    use bitcoin::hashes::Hash;
    use serde_json::{Value, json};

    const SMALL: &str = include_str!("../../../tests/data/gbt-regtest-25tx.json");
    const LARGE: &str = include_str!("../../../tests/data/gbt-regtest-1200tx.json");
    const NOW: UnixTime = UnixTime::from_seconds(1_795_218_700);

    fn checked(json: &str) -> Result<CheckedTemplate, TemplateError> {
        parse(json.as_bytes(), Network::Regtest, NOW, &LevelHasher::default())
    }

    fn small() -> Template {
        checked(SMALL).expect("Core's own template").template
    }

    fn changed(change: impl FnOnce(&mut Value)) -> Result<CheckedTemplate, TemplateError> {
        let mut value: Value = serde_json::from_str(SMALL).expect("JSON");
        change(&mut value);
        checked(&value.to_string())
    }

    #[test]
    fn every_field_of_a_template_arrives() {
        let CheckedTemplate { template, longpoll_id } = checked(SMALL).expect("Core's own template");
        assert_eq!(template.kind, TemplateKind::Full);
        assert_eq!(template.height, 131);
        assert_eq!(template.version, 0x2000_0000);
        assert_eq!(template.bits, 0x207f_ffff);
        assert_eq!(
            template.previous_block.to_string(),
            "7c9dc679f28192c67ef1558092e9b3230d195f8c98a11ccf02f3cb3d16ed6c22"
        );
        assert_eq!(template.coinbase_value, Sats(5_000_076_120));
        assert_eq!(template.fees, Sats(76_120));
        assert_eq!(template.current_time.seconds(), 1_795_218_622);
        assert_eq!(template.min_time.seconds(), 1_795_218_622);
        assert_eq!(template.transaction_count, 25);
        assert_eq!(template.received_at, NOW);
        assert_eq!(longpoll_id.as_deref(), Some("7c9dc679f28192c67ef1558092e9b3230d195f8c98a11ccf02f3cb3d16ed6c22156"));
    }

    /// Decodes the transactions anew and compares roots and commitment with the bitcoin crate's own functions.
    fn agrees_with_the_bitcoin_crate(json: &str) {
        let template = checked(json).expect("Core's own template").template;
        let value: Value = serde_json::from_str(json).expect("JSON");
        let raw = value["transactions"].as_array().expect("transactions");
        let transactions: Vec<bitcoin::Transaction> = raw
            .iter()
            .map(|entry| deserialize(&const_hex::decode(entry["data"].as_str().expect("data")).expect("hex")))
            .collect::<Result<_, _>>()
            .expect("transactions");
        let serialised: Vec<u8> = transactions.iter().flat_map(bitcoin::consensus::serialize).collect();
        assert_eq!(template.transactions[..], serialised[..]);
        let weight: u64 = transactions.iter().map(|transaction| transaction.weight().to_wu()).sum();
        assert_eq!(template.weight, weight);

        let coinbase = bitcoin::Txid::from_byte_array([7; 32]);
        let txids = std::iter::once(coinbase).chain(transactions.iter().map(bitcoin::Transaction::compute_txid));
        let root = bitcoin::merkle_tree::calculate_root(txids.map(|id| id.to_raw_hash())).expect("not empty");
        let ours = LevelHasher::default().fold(Hash256::from_internal([7; 32]), &template.merkle_branches);
        assert_eq!(ours.as_internal(), root.as_byte_array());

        let wtxids = std::iter::once(bitcoin::Wtxid::all_zeros())
            .chain(transactions.iter().map(bitcoin::Transaction::compute_wtxid));
        let root = bitcoin::merkle_tree::calculate_root(wtxids.map(|id| id.to_raw_hash())).expect("not empty");
        let root = bitcoin::WitnessMerkleNode::from_raw_hash(root);
        let commitment = bitcoin::Block::compute_witness_commitment(&root, &[0; 32]);
        assert_eq!(template.witness_commitment.expect("segwit")[6..], commitment.as_byte_array()[..]);
    }

    #[test]
    fn defect_33_branches_and_commitment_agree_with_an_independent_computation() {
        agrees_with_the_bitcoin_crate(SMALL);
        agrees_with_the_bitcoin_crate(LARGE);
    }

    #[test]
    fn a_wrong_witness_commitment_is_refused_and_both_are_named() {
        let wrong = "6a24aa21a9ed".to_owned() + &"11".repeat(32);
        let error = changed(|value| value["default_witness_commitment"] = json!(wrong)).expect_err("refused");
        let text = error.to_string();
        assert!(text.contains(&wrong) && text.contains("124781d7d7f8870c"), "{text}");
    }

    #[test]
    fn a_transaction_exchanged_for_another_is_refused() {
        let error = changed(|value| value["transactions"][3]["hash"] = value["transactions"][4]["hash"].clone());
        assert!(matches!(error, Err(TemplateError::WitnessCommitment { .. })));
    }

    #[test]
    fn what_contradicts_itself_is_refused_and_named() {
        type Change = fn(&mut Value);
        let table: [(Change, &str); 14] = [
            (|value| value["bits"] = json!("1d00ffff"), "bits 1d00ffff"),
            (|value| value["bits"] = json!("zz"), "bits is not hexadecimal"),
            (|value| value["bits"] = json!("00000000"), "is zero"),
            (|value| value["target"] = json!("7f"), "target: a hash has 64"),
            (|value| value["coinbasevalue"] = json!(76_119), "coinbasevalue"),
            (|value| value["coinbasevalue"] = json!(5_000_076_121u64), "coinbasevalue"),
            (|value| value["previousblockhash"] = json!("00"), "previousblockhash"),
            (|value| value["transactions"][2]["txid"] = json!("q".repeat(64)), "transactions[2].txid"),
            (|value| value["transactions"][2]["data"] = json!("abc"), "transactions[2].data"),
            (|value| value["transactions"][2]["data"] = json!(""), "transactions[2].data"),
            (|value| value["transactions"][0]["weight"] = json!(4_000_001), "weight"),
            (|value| value["rules"] = json!(["csv", "!segwit", "!surprise"]), "surprise"),
            (|value| value["curtime"] = json!(1), "curtime"),
            (|value| value["height"] = json!("131"), "line"),
        ];
        for (change, named) in table {
            let text = changed(change).expect_err(named).to_string();
            assert!(text.contains(named), "{named}: {text}");
        }
    }

    #[test]
    fn without_segwit_there_is_no_commitment_and_may_be_no_witness() {
        let error = changed(|value| {
            value.as_object_mut().map(|fields| fields.remove("default_witness_commitment"));
        });
        assert!(matches!(error, Err(TemplateError::WitnessCommitmentMissing)));
        let bare = changed(|value| {
            value["transactions"] = json!([]);
            value["coinbasevalue"] = json!(5_000_000_000u64);
            value.as_object_mut().map(|fields| fields.remove("default_witness_commitment"));
        });
        assert_eq!(bare.expect("valid").template.witness_commitment, None);
    }

    #[test]
    fn rollable_bits_are_cleared_but_required_ones_stay() {
        assert_eq!(base_version(0x2000_e004, 0), 0x2000_0004);
        assert_eq!(base_version(0x3fff_ffff, 0), 0x2000_001f);
        assert_eq!(base_version(0x2000_e004, 0x4000), 0x2000_4004);
    }

    fn tip(height: u32) -> Tip {
        Tip {
            hash: Hash256::from_internal([3; 32]),
            height,
            bits: 0x1d00_ffff,
            time: UnixTime::from_seconds(900),
            median_time: UnixTime::from_seconds(800),
        }
    }

    #[test]
    fn work_before_the_template_claims_the_subsidy_alone() {
        let node_time = small().current_time.seconds();
        let soon = UnixTime::from_seconds(NOW.seconds() + 10);
        let template = subsidy_only(&tip(209_999), &small(), Network::Mainnet, soon).expect("work");
        assert_eq!(template.height, 210_000);
        assert_eq!(template.coinbase_value, Sats(2_500_000_000));
        assert_eq!((template.version, template.bits), (0x2000_0000, 0x1d00_ffff));
        assert_eq!(template.network_target, Target::DIFFICULTY_ONE);
        let times = (template.min_time.seconds(), template.current_time.seconds());
        assert_eq!(times, (801, node_time + 10), "by the node's clock, not by ours");
        assert_eq!(template.previous_block, Hash256::from_internal([3; 32]));
        assert!(template.transactions.is_empty() && template.merkle_branches.is_empty());
        assert_eq!(
            template.witness_commitment.as_deref(),
            Some(&merkle::witness_commitment_script(&[], &LevelHasher::default())[..])
        );
        let early = Template { current_time: UnixTime::from_seconds(5), ..small() };
        let early = subsidy_only(&tip(150), &early, Network::Regtest, NOW).expect("work");
        assert_eq!(early.current_time.seconds(), 801, "a clock behind the chain");
        assert_eq!(early.coinbase_value, Sats(2_500_000_000), "regtest halves every 150 blocks");
    }

    #[test]
    fn defect_22_no_empty_work_where_the_next_bits_are_unknown() {
        for height in [2015, 4031, 840_671] {
            assert!(subsidy_only(&tip(height), &small(), Network::Mainnet, NOW).is_none(), "{height}");
            assert!(subsidy_only(&tip(height - 1), &small(), Network::Mainnet, NOW).is_some());
            assert!(subsidy_only(&tip(height + 1), &small(), Network::Mainnet, NOW).is_some());
        }
        assert!(subsidy_only(&tip(100), &small(), Network::Testnet4, NOW).is_none());
    }
}
