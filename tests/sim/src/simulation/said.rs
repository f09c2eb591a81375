//! What connections are told, looked at as it leaves the pool or reaches the miner.

use super::*;
use bitcoin::Block;
use bitcoin::consensus::encode::deserialize;
use warppool_components::limits::EXTRANONCE_BYTES;
use warppool_tests::work::script;

/// How long after a tip every miner that works must have work on it.
const FANOUT_MAX: Duration = Duration::from_secs(1);

/// Address that gets the fee.
pub(super) const FEE_OWNER: u8 = 250;

impl Simulation {
    /// A subscription was answered: no other live connection has its `extranonce1`.
    pub(super) fn note_session(&mut self, link: usize, line: &str) {
        let value: serde_json::Value = serde_json::from_str(line).expect("read before");
        let extranonce1 = value["result"][1].as_str().unwrap_or_default().to_owned();
        self.check_extranonce1(&extranonce1, Some(link));
        self.links[link].extranonce1 = extranonce1;
    }

    /// A job was sent.
    pub(super) fn note_job(&mut self, link: usize, line: &str) {
        // Its miner reads the line as JSON; here the second text of the parameters is enough.
        let (_, params) = line.split_once(r#""params":["#).expect("a notify has parameters");
        let tip = params.split('"').nth(3).expect("a job names its tip");
        let one = &mut self.links[link];
        one.is_working = true;
        tip.clone_into(&mut one.tip);
    }

    /// Who works has work on the pool's tip, however many others there are.
    pub(super) fn check_currency(&self) {
        let Some(tip) = self.pool_tip else { return };
        let is_fresh = self.now_ns - self.tip_since < nanos(FANOUT_MAX);
        if self.ready_since.is_none() || is_fresh {
            return;
        }
        self.check_currency_v2(tip);
        let tip = in_a_job(tip);
        for link in self.by_slot.values().map(|link| &self.links[*link]).filter(|link| link.is_working) {
            assert_eq!(link.tip, tip, "miner {} was left without work on the pool's tip", link.device);
        }
    }

    /// The latest job of a miner pays whom it must, all that the node allows.
    pub(super) fn check_coinbase(&self, device: usize) {
        let device = &self.devices[device];
        let job = device.knows.job();
        let value = self.nodes.value_of(job.previous_block(), job.branches());
        let value = value.unwrap_or_else(|| panic!("job {} is of no template", job.id));
        let mut paid = job.coinbase_outputs(EXTRANONCE_BYTES);
        paid.retain(|(_, value)| *value > 0);
        let due = self.due(device.script.clone(), value);
        assert_eq!(paid, due, "the coinbase of job {} for {}", job.id, device.users[0]);
    }

    /// A block pays whoever found it. Whether all of it is due the node judges.
    pub(super) fn check_reward(&self, block: &[u8], user: &str) {
        let block: Block = deserialize(block).expect("a block as the node reads it");
        let outputs = block.txdata[0].output.iter();
        let mut paid: Vec<(Vec<u8>, u64)> =
            outputs.map(|output| (output.script_pubkey.to_bytes(), output.value.to_sat())).collect();
        paid.retain(|(_, value)| *value > 0);
        let value = paid.iter().map(|(_, value)| value).sum();
        let owner = user.split('.').next().expect("the address");
        assert_eq!(paid, self.due(script(owner).to_bytes(), value), "the coinbase of a block that {user} has found");
    }

    /// What a coinbase of `value` has to pay to a miner's script and to the operator.
    pub(super) fn due(&self, script: Vec<u8>, value: u64) -> Vec<(Vec<u8>, u64)> {
        let fee = (u128::from(value) * u128::from(self.options.fee_basis_points) / 10_000) as u64;
        let mut due = vec![(script, value - fee)];
        // Regtest halves its subsidy until nothing is left of it.
        due.retain(|(_, value)| *value > 0);
        if fee > 0 {
            due.push((fee_script(), fee));
        }
        due
    }
}

/// Who gets the fee.
pub(super) fn fee_script() -> Vec<u8> {
    script(&address(FEE_OWNER)).to_bytes()
}

/// A hash as `mining.notify` writes it: the bytes of each 32-bit word turned.
fn in_a_job(hash: [u8; 32]) -> String {
    hash.chunks(4).flat_map(|word| word.iter().rev()).map(|byte| format!("{byte:02x}")).collect()
}
