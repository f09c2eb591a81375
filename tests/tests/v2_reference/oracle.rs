//! The reference project's channel objects, fed the very messages that the pool's miner was sent.
//!
//! A standard channel of theirs makes its merkle root from a coinbase, which the wire does not carry: it is taken from the
//! extended channel of the same payee, whose job of the same number has the same coinbase around another extranonce. That
//! the root comes out as the pool sent it is checked for every job.

use binary_sv2::{B032Owned, B064KOwned, B0255Owned, Seq0255Owned};
use bitcoin::Target;
use channels_sv2::extranonce_manager::{AllocatedExtranoncePrefix, ExtranonceAllocator};
use channels_sv2::server::error::{ExtendedChannelError, StandardChannelError};
use channels_sv2::server::extended::ExtendedChannel;
use channels_sv2::server::jobs::extended::ExtendedJob;
use channels_sv2::server::share_accounting::{ShareValidationError, ShareValidationResult};
use channels_sv2::server::standard::StandardChannel;
use mining_sv2::{
    NewExtendedMiningJobOwned, NewMiningJobOwned, SetNewPrevHashOwned, SubmitSharesExtendedOwned, SubmitSharesStandard,
};
use template_distribution_sv2::{NewTemplateOwned, SetNewPrevHashOwned as TemplateTip};
use warppool_reference::message::Message;
use warppool_reference::{Channel, Share, Verdict};

/// Shares of one answer; it plays no part in verdicts.
const BATCH: usize = 1;

/// Shares a minute that their memory of shares is measured by.
const SHARES_PER_MINUTE: f32 = 60.0;

/// Hashes a second; the pool's own targets are set over what follows from it.
const HASH_RATE: f32 = 1.0;

/// Their indices of channels take a byte.
const INDICES: u32 = 256;

/// An extended channel and a standard channel of one payee, as the reference project judges their shares.
pub(crate) struct Oracle {
    extended: ExtendedChannel,
    standard: StandardChannel,
    /// The standard channel's number and its group's.
    standard_ids: [u32; 2],
    /// Jobs of the extended channel, for the standard one.
    jobs: Vec<NewExtendedMiningJobOwned>,
}

impl Oracle {
    /// Two channels that were opened and not sent anything yet.
    pub(crate) fn new(extended: &Channel, standard: &Channel) -> Self {
        let own = extended.own_extranonce_bytes() as u16;
        let name = "oracle".to_owned();
        let prefix = prefix(&extended.extranonce_prefix);
        let theirs = ExtendedChannel::new_for_pool(
            extended.id,
            name.clone(),
            prefix,
            Target::MAX,
            HASH_RATE,
            true,
            own,
            BATCH,
            SHARES_PER_MINUTE,
            String::new(),
            None,
        );
        let mut oracle_extended = theirs.expect("an extended channel");
        oracle_extended.set_target(extended.first_target).expect("a target");
        let prefix = self::prefix(&standard.extranonce_prefix);
        let theirs = StandardChannel::new_for_pool(
            standard.id,
            name,
            prefix,
            Target::MAX,
            HASH_RATE,
            BATCH,
            SHARES_PER_MINUTE,
            String::new(),
            None,
        );
        let mut oracle_standard = theirs.expect("a standard channel");
        oracle_standard.set_target(standard.first_target).expect("a target");
        Self {
            extended: oracle_extended,
            standard: oracle_standard,
            standard_ids: [standard.id, standard.group],
            jobs: Vec::new(),
        }
    }

    /// Takes what the pool sent in one tick. The extended channel comes first: its jobs tell the standard one's coinbases.
    pub(crate) fn hear(&mut self, messages: &[Message]) {
        for of_standard in [false, true] {
            let of_one = messages.iter().filter(|message| self.is_for_standard(message) == of_standard);
            of_one.cloned().collect::<Vec<_>>().iter().for_each(|message| self.hear_one(message));
        }
    }

    fn is_for_standard(&self, message: &Message) -> bool {
        let channel = match message {
            Message::NewMiningJob(_) => return true,
            Message::SetNewPrevHash(tip) => tip.channel_id,
            Message::SetTarget(target) => target.channel_id,
            _ => return false,
        };
        self.is_standard(channel)
    }

    fn hear_one(&mut self, message: &Message) {
        match message {
            Message::NewExtendedMiningJob(job) => {
                self.jobs.push(job.clone());
                expect_extended(
                    self.extended.on_group_channel_job(their_job(job, self.extended.get_extranonce_prefix())),
                );
            }
            Message::NewMiningJob(job) => self.hear_standard_job(job),
            Message::SetNewPrevHash(tip) if self.is_standard(tip.channel_id) => {
                expect_standard(self.standard.on_set_new_prev_hash(their_tip(tip)));
            }
            Message::SetNewPrevHash(tip) => expect_extended(self.extended.on_set_new_prev_hash(their_tip(tip))),
            Message::SetTarget(target) => {
                let maximum = Target::from_le_bytes(target.maximum_target.to_array());
                if self.is_standard(target.channel_id) {
                    expect_standard(self.standard.set_target(maximum));
                } else {
                    expect_extended(self.extended.set_target(maximum));
                }
            }
            _ => {}
        }
    }

    fn is_standard(&self, channel: u32) -> bool {
        self.standard_ids.contains(&channel)
    }

    fn hear_standard_job(&mut self, job: &NewMiningJobOwned) {
        let twin = self.jobs.iter().rev().find(|twin| twin.job_id == job.job_id);
        let twin = twin.unwrap_or_else(|| panic!("the extended channel was not sent job {} before", job.job_id));
        let mut twin = twin.clone();
        twin.min_ntime = job.min_ntime.clone();
        let theirs = their_job(&twin, self.standard.get_extranonce_prefix());
        let prefix = self.standard.get_extranonce_prefix().to_vec();
        let made = theirs.clone().into_standard_job(job.channel_id, prefix).expect("a standard job");
        assert_eq!(made.get_merkle_root(), &job.merkle_root, "the root of job {}", job.job_id);
        assert_eq!(made.get_version(), job.version);
        expect_standard(self.standard.on_group_channel_job(theirs));
    }

    /// Their verdict.
    pub(crate) fn judge(&mut self, share: &Share, sequence_number: u32) -> Verdict {
        let Share { channel: channel_id, job: job_id, nonce, ntime, version, .. } = *share;
        let judged = match &share.extranonce {
            Some(extranonce) => self.extended.validate_share(SubmitSharesExtendedOwned {
                channel_id,
                sequence_number,
                job_id,
                nonce,
                ntime,
                version,
                extranonce: B032Owned::new(extranonce.clone()).expect("short"),
            }),
            None => self.standard.validate_share(SubmitSharesStandard {
                channel_id,
                sequence_number,
                job_id,
                nonce,
                ntime,
                version,
            }),
        };
        verdict(judged)
    }
}

fn verdict(judged: Result<ShareValidationResult, ShareValidationError>) -> Verdict {
    use ShareValidationError::{
        BadExtranonceSize, DoesNotMeetTarget, DuplicateShare, Invalid, InvalidJobId, Stale, VersionRollingNotAllowed,
    };
    match judged {
        Ok(_) => Ok(()),
        Err(
            BadExtranonceSize(code)
            | DoesNotMeetTarget(code)
            | DuplicateShare(code)
            | Invalid(code)
            | InvalidJobId(code)
            | Stale(code)
            | VersionRollingNotAllowed(code),
        ) => Err(code.to_owned()),
        Err(other) => panic!("the oracle itself has failed: {other:?}"),
    }
}

fn expect_extended(done: Result<(), ExtendedChannelError>) {
    done.unwrap_or_else(|error| panic!("the oracle's extended channel does not take it: {error:?}"));
}

fn expect_standard(done: Result<(), StandardChannelError>) {
    done.unwrap_or_else(|error| panic!("the oracle's standard channel does not take it: {error:?}"));
}

/// Their allocator gives prefixes in order; the one that is wanted is among the first 256 of its start.
fn prefix(wanted: &[u8]) -> AllocatedExtranoncePrefix {
    let (_, start) = wanted.split_last().expect("a prefix has bytes");
    let allocator = ExtranonceAllocator::new(start.to_vec(), wanted.len() as u8, INDICES);
    let mut allocator = allocator.expect("an allocator");
    let mut given = (0..INDICES).map(|_| allocator.allocate_extended(0).expect("a free prefix"));
    let found = given.find(|given| given.as_bytes() == wanted);
    found.expect("one of all that begin so")
}

/// A job of the wire as they keep it. It stands for a template of its own number.
fn their_job(job: &NewExtendedMiningJobOwned, prefix: &[u8]) -> ExtendedJob {
    let template = NewTemplateOwned {
        template_id: u64::from(job.job_id),
        future_template: job.is_future(),
        version: job.version,
        coinbase_tx_version: 2,
        coinbase_prefix: B0255Owned::new(Vec::new()).expect("short"),
        coinbase_tx_input_sequence: 0,
        coinbase_tx_value_remaining: 0,
        coinbase_tx_outputs_count: 0,
        coinbase_tx_outputs: B064KOwned::new(Vec::new()).expect("short"),
        coinbase_tx_locktime: 0,
        merkle_path: Seq0255Owned::new(job.merkle_path.as_slice().to_vec()).expect("short"),
    };
    let (start, end) = (job.coinbase_tx_prefix.to_owned_bytes(), job.coinbase_tx_suffix.to_owned_bytes());
    ExtendedJob::from_template(template, prefix.to_vec(), Vec::new(), start, end, job.clone()).expect("a job")
}

fn their_tip(tip: &SetNewPrevHashOwned) -> TemplateTip {
    TemplateTip {
        template_id: u64::from(tip.job_id),
        prev_hash: tip.prev_hash.clone(),
        header_timestamp: tip.min_ntime,
        n_bits: tip.nbits,
        target: [0xff; 32].into(),
    }
}
