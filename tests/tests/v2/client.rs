//! A miner or proxy of Stratum V2: it reads what the pool writes, checks what must hold for every frame, and finds shares.
//!
//! Everything is hashed with crate `bitcoin`. The codec is the pool's own, which tests of its package hold against the
//! reference project's.

use bitcoin::block::{Header, Version};
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{BlockHash, CompactTarget, TxMerkleNode};
use std::collections::{BTreeMap, HashSet};
use warppool_components::units::{Hash256, Target};
use warppool_net::wire::v2::message::*;
use warppool_net::wire::v2::{FrameHeader, Message, Text, split};
use warppool_tests::pool::{Conn, Pool};
use warppool_tests::work::join;

/// Longest frame that AxeOS takes.
const AXEOS_FRAME_BYTES_MAX: usize = 8 * 1024;
/// Longest merkle path that AxeOS takes.
const AXEOS_PATH_MAX: usize = 20;
/// Future jobs that AxeOS keeps, by job id modulo this.
const AXEOS_PENDING_JOBS: usize = 8;

/// What a frame said, in short.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Heard {
    SetUp,
    SetUpRefused {
        flags: u32,
        code: String,
    },
    Opened {
        request: u32,
        channel: u32,
        group: u32,
    },
    OpenRefused {
        request: u32,
        code: String,
    },
    /// A job that waits for its tip.
    FutureJob {
        channel: u32,
        job: u32,
    },
    /// A job that is worked on at once.
    Job {
        channel: u32,
        job: u32,
    },
    Tip {
        channel: u32,
        job: u32,
    },
    Target {
        channel: u32,
    },
    Reconnect {
        host: String,
        port: u16,
    },
    Credited {
        channel: u32,
        last: u32,
        count: u32,
        sum: u64,
    },
    Refused {
        channel: u32,
        sequence: u32,
        code: String,
    },
    UpdateRefused {
        channel: u32,
        code: String,
    },
    ExtensionsRefused {
        request: u16,
        unsupported: Vec<u16>,
    },
}

/// A job as the client got it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub id: u32,
    pub version: u32,
    /// Target that governs it: the one that was told last before it took effect.
    pub target: Target,
    pub previous_block: Hash256,
    pub ntime: u32,
    pub bits: u32,
    body: Body,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Body {
    Root([u8; 32]),
    Coinbase { prefix: Vec<u8>, suffix: Vec<u8>, path: Vec<[u8; 32]> },
}

/// A channel as the client knows it.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub is_extended: bool,
    pub group: u32,
    pub prefix: Vec<u8>,
    pub extranonce_bytes: usize,
    pub target: Target,
    /// Jobs that were worked on, oldest first.
    pub jobs: Vec<Job>,
    pending: [Option<Job>; AXEOS_PENDING_JOBS],
    /// Of its jobs, as it was told last.
    pub tip: Option<(Hash256, u32, u32)>,
    works: HashSet<(Body, u32)>,
}

/// The client's end of a connection.
pub(crate) struct Client {
    pub conn: Conn,
    pub channels: BTreeMap<u32, Channel>,
    requests: u32,
    sequence: u32,
}

/// A share, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub job: u32,
    pub extranonce: Vec<u8>,
    pub nonce: u32,
    pub ntime: u32,
    pub version: u32,
    pub hash: BlockHash,
}

/// `SetupConnection` of a device.
pub(crate) fn setup(vendor: &str, flags: u32) -> SetupConnection<'_> {
    SetupConnection {
        protocol: 0,
        min_version: 2,
        max_version: 2,
        flags,
        endpoint_host: "pool".into(),
        endpoint_port: 3333,
        vendor: vendor.into(),
        hardware_version: Text::default(),
        firmware: Text::default(),
        device_id: Text::default(),
    }
}

impl Client {
    /// Connects and sets up.
    pub(crate) fn connect(pool: &mut Pool, vendor: &str, flags: u32) -> Self {
        let mut client = Self { conn: pool.connect_v2(), channels: BTreeMap::new(), requests: 0, sequence: 0 };
        assert_eq!(client.ask(pool, &setup(vendor, flags)), [Heard::SetUp]);
        client
    }

    /// Connects and says nothing.
    pub(crate) fn silent(pool: &mut Pool) -> Self {
        Self { conn: pool.connect_v2(), channels: BTreeMap::new(), requests: 0, sequence: 0 }
    }

    /// Sends a message and hears all that comes back.
    pub(crate) fn ask<'a>(&mut self, pool: &mut Pool, message: &impl Message<'a>) -> Vec<Heard> {
        pool.push_frame(self.conn, &message.to_frame());
        pool.tick();
        self.hear(pool)
    }

    /// Opens an extended channel in the way of AxeOS; what is heard behind the answer.
    pub(crate) fn open_extended(&mut self, pool: &mut Pool, user: &str) -> (u32, Vec<Heard>) {
        self.requests += 1;
        let request = OpenExtendedMiningChannel {
            request_id: self.requests,
            user_identity: user.into(),
            nominal_hash_rate: 1e12,
            max_target: Target::MAX,
            min_extranonce_size: 2,
        };
        let heard = self.ask(pool, &request);
        self.opened(heard)
    }

    /// Opens a standard channel.
    pub(crate) fn open_standard(&mut self, pool: &mut Pool, user: &str) -> (u32, Vec<Heard>) {
        self.requests += 1;
        let request = OpenStandardMiningChannel {
            request_id: self.requests,
            user_identity: user.into(),
            nominal_hash_rate: 1e12,
            max_target: Target::MAX,
        };
        let heard = self.ask(pool, &request);
        self.opened(heard)
    }

    fn opened(&self, mut heard: Vec<Heard>) -> (u32, Vec<Heard>) {
        assert!(!heard.is_empty(), "no answer to the request for a channel");
        match heard.remove(0) {
            Heard::Opened { request, channel, .. } if request == self.requests => (channel, heard),
            other => panic!("the frame after the request is its answer, not {other:?}"),
        }
    }

    /// Closes a channel: nothing may be said of it any more.
    pub(crate) fn push_close(&mut self, pool: &mut Pool, channel_id: u32) {
        self.channels.retain(|id, channel| *id != channel_id && channel.group != channel_id);
        pool.push_frame(self.conn, &CloseChannel { channel_id, reason_code: "".into() }.to_frame());
    }

    /// Asks for a channel without waiting for the answer.
    pub(crate) fn push_open(&mut self, pool: &mut Pool, user: &str, is_extended: bool) {
        self.requests += 1;
        let (request_id, user_identity, max_target) = (self.requests, user.into(), Target::MAX);
        let nominal_hash_rate = 1e6;
        let frame = match is_extended {
            true => {
                let min_extranonce_size = 8;
                OpenExtendedMiningChannel {
                    request_id,
                    user_identity,
                    nominal_hash_rate,
                    max_target,
                    min_extranonce_size,
                }
                .to_frame()
            }
            false => OpenStandardMiningChannel { request_id, user_identity, nominal_hash_rate, max_target }.to_frame(),
        };
        pool.push_frame(self.conn, &frame);
    }

    /// Hears what was written since the last time.
    pub(crate) fn hear(&mut self, pool: &mut Pool) -> Vec<Heard> {
        self.hear_writes(pool).concat()
    }

    /// The same, write by write.
    pub(crate) fn hear_writes(&mut self, pool: &mut Pool) -> Vec<Vec<Heard>> {
        let writes = pool.take_frames(self.conn);
        writes.iter().map(|write| self.take_write(write)).collect()
    }

    fn take_write(&mut self, mut write: &[u8]) -> Vec<Heard> {
        let mut heard = Vec::new();
        while !write.is_empty() {
            let header = FrameHeader::decode(write[..6].try_into().expect("a header"));
            let (frame, rest) = write.split_at(6 + header.payload_bytes as usize);
            assert!(frame.len() <= AXEOS_FRAME_BYTES_MAX, "{} bytes", frame.len());
            heard.push(self.take(frame));
            write = rest;
        }
        heard
    }

    fn take(&mut self, frame: &[u8]) -> Heard {
        let (header, _) = split(frame).expect("a whole frame");
        match (header.extension, header.message_type) {
            (0, SetupConnectionSuccess::TYPE) => {
                let message = SetupConnectionSuccess::decode(frame).expect("well-formed");
                assert_eq!(message, SetupConnectionSuccess { used_version: 2, flags: 0 });
                Heard::SetUp
            }
            (0, SetupConnectionError::TYPE) => {
                let message = SetupConnectionError::decode(frame).expect("well-formed");
                Heard::SetUpRefused { flags: message.flags, code: message.error_code.to_text() }
            }
            (0, OpenStandardMiningChannelSuccess::TYPE) => {
                let message = OpenStandardMiningChannelSuccess::decode(frame).expect("well-formed");
                let prefix = message.extranonce_prefix;
                self.open(message.request_id, message.channel_id, message.group_channel_id, prefix, 0, message.target)
            }
            (0, OpenExtendedMiningChannelSuccess::TYPE) => {
                let message = OpenExtendedMiningChannelSuccess::decode(frame).expect("well-formed");
                let (prefix, size) = (message.extranonce_prefix, usize::from(message.extranonce_size));
                self.open(
                    message.request_id,
                    message.channel_id,
                    message.group_channel_id,
                    prefix,
                    size,
                    message.target,
                )
            }
            (0, OpenMiningChannelError::TYPE) => {
                let message = OpenMiningChannelError::decode(frame).expect("well-formed");
                Heard::OpenRefused { request: message.request_id, code: message.error_code.to_text() }
            }
            (0, NewMiningJob::TYPE) => {
                let message = NewMiningJob::decode(frame).expect("well-formed");
                let body = Body::Root(*message.merkle_root.as_internal());
                self.job(message.channel_id, message.job_id, message.version, message.min_ntime, &body)
            }
            (0, NewExtendedMiningJob::TYPE) => {
                let message = NewExtendedMiningJob::decode(frame).expect("well-formed");
                assert!(message.merkle_path.len() <= AXEOS_PATH_MAX && message.version_rolling_allowed);
                let body = Body::Coinbase {
                    prefix: message.coinbase_tx_prefix.0.to_vec(),
                    suffix: message.coinbase_tx_suffix.0.to_vec(),
                    path: message.merkle_path.iter().map(|hash| *hash.as_internal()).collect(),
                };
                self.job(message.channel_id, message.job_id, message.version, message.min_ntime, &body)
            }
            (0, SetNewPrevHash::TYPE) => {
                assert!(frame.len() < 100, "a tip is {} bytes", frame.len());
                self.tip(&SetNewPrevHash::decode(frame).expect("well-formed"))
            }
            (0, Reconnect::TYPE) => {
                let message = Reconnect::decode(frame).expect("well-formed");
                Heard::Reconnect { host: message.new_host.to_text(), port: message.new_port }
            }
            (0, SetTarget::TYPE) => {
                let message = SetTarget::decode(frame).expect("well-formed");
                self.channel(message.channel_id).target = message.maximum_target;
                Heard::Target { channel: message.channel_id }
            }
            (0, SubmitSharesSuccess::TYPE) => {
                let message = SubmitSharesSuccess::decode(frame).expect("well-formed");
                Heard::Credited {
                    channel: message.channel_id,
                    last: message.last_sequence_number,
                    count: message.new_submits_accepted_count,
                    sum: message.new_shares_sum,
                }
            }
            (0, SubmitSharesError::TYPE) => {
                let message = SubmitSharesError::decode(frame).expect("well-formed");
                let (channel, sequence) = (message.channel_id, message.sequence_number);
                Heard::Refused { channel, sequence, code: message.error_code.to_text() }
            }
            (0, UpdateChannelError::TYPE) => {
                let message = UpdateChannelError::decode(frame).expect("well-formed");
                Heard::UpdateRefused { channel: message.channel_id, code: message.error_code.to_text() }
            }
            (1, RequestExtensionsError::TYPE) => {
                let message = RequestExtensionsError::decode(frame).expect("well-formed");
                let unsupported = message.unsupported_extensions.iter().collect();
                Heard::ExtensionsRefused { request: message.request_id, unsupported }
            }
            other => panic!("no client knows {other:?}"),
        }
    }

    fn open(&mut self, request: u32, id: u32, group: u32, prefix: &[u8], bytes: usize, target: Target) -> Heard {
        let channel = Channel {
            is_extended: bytes > 0,
            group,
            prefix: prefix.to_vec(),
            extranonce_bytes: bytes,
            target,
            jobs: Vec::new(),
            pending: Default::default(),
            tip: None,
            works: HashSet::new(),
        };
        assert!(
            [8, 12].contains(&(prefix.len() + bytes)),
            "twelve bytes in all, eight where another pool has the rest"
        );
        assert!(self.channels.insert(id, channel).is_none(), "channel {id} was there before");
        assert!(!self.channels.contains_key(&group), "a group's number is no channel's");
        Heard::Opened { request, channel: id, group }
    }

    /// A channel that was opened.
    pub(crate) fn channel(&mut self, id: u32) -> &mut Channel {
        self.channels.get_mut(&id).expect("a channel that was opened")
    }

    /// The channels that an address means: itself, or the extended ones of a group.
    fn meant(&self, address: u32) -> Vec<u32> {
        let of_group = self.channels.iter().filter(|(_, channel)| channel.group == address && channel.is_extended);
        let members: Vec<u32> = of_group.map(|(id, _)| *id).collect();
        if self.channels.contains_key(&address) {
            return vec![address];
        }
        assert!(members.len() > 1, "who is alone in its group is addressed itself");
        members
    }

    fn job(&mut self, address: u32, job: u32, version: u32, min_ntime: Option<u32>, body: &Body) -> Heard {
        self.meant(address).into_iter().for_each(|id| self.job_of(id, job, version, min_ntime, body.clone()));
        match min_ntime {
            None => Heard::FutureJob { channel: address, job },
            Some(_) => Heard::Job { channel: address, job },
        }
    }

    fn job_of(&mut self, id: u32, job: u32, version: u32, min_ntime: Option<u32>, body: Body) {
        let channel = self.channel(id);
        let is_root = matches!(body, Body::Root(_));
        assert_ne!(channel.is_extended, is_root, "each kind of channel has its kind of job");
        assert!(channel.works.insert((body.clone(), version)), "the same work twice on channel {id}");
        let is_known = channel.jobs.iter().chain(channel.pending.iter().flatten()).any(|known| known.id == job);
        assert!(!is_known, "job id {job} was used before");
        let (previous_block, bits) = channel.tip.map_or((Hash256::ZERO, 0), |(hash, _, bits)| (hash, bits));
        let known = Job {
            id: job,
            version,
            target: channel.target,
            previous_block,
            ntime: min_ntime.unwrap_or_default(),
            bits,
            body,
        };
        match min_ntime {
            None => {
                channel.pending[job as usize % AXEOS_PENDING_JOBS] = Some(known);
            }
            Some(_) => {
                assert!(channel.tip.is_some(), "a job that takes effect at once needs a tip");
                channel.jobs.push(known);
            }
        }
    }

    fn tip(&mut self, message: &SetNewPrevHash) -> Heard {
        self.meant(message.channel_id).into_iter().for_each(|id| self.tip_of(id, message));
        Heard::Tip { channel: message.channel_id, job: message.job_id }
    }

    fn tip_of(&mut self, id: u32, message: &SetNewPrevHash) {
        let job = message.job_id;
        let channel = self.channel(id);
        let waiting = channel.pending[job as usize % AXEOS_PENDING_JOBS].take();
        let waiting = waiting.filter(|waiting| waiting.id == job);
        let waiting = waiting.unwrap_or_else(|| panic!("the tip names job {job:#x}, which does not wait"));
        assert_ne!(channel.tip.map(|(hash, ..)| hash), Some(message.prev_hash), "the same tip twice");
        channel.tip = Some((message.prev_hash, message.min_ntime, message.nbits));
        channel.jobs.push(Job {
            // A target governs jobs that wait for their tip, too.
            target: channel.target,
            previous_block: message.prev_hash,
            ntime: message.min_ntime,
            bits: message.nbits,
            ..waiting
        });
    }

    /// Sends a share; its number.
    pub(crate) fn push_share(&mut self, pool: &mut Pool, channel_id: u32, share: &Share) -> u32 {
        self.sequence += 1;
        let (sequence_number, job_id) = (self.sequence, share.job);
        let (nonce, ntime, version) = (share.nonce, share.ntime, share.version);
        let is_extended = self.channels.get(&channel_id).is_none_or(|channel| channel.is_extended);
        let frame = if is_extended {
            let extranonce = &share.extranonce[..];
            SubmitSharesExtended { channel_id, sequence_number, job_id, nonce, ntime, version, extranonce }.to_frame()
        } else {
            SubmitSharesStandard { channel_id, sequence_number, job_id, nonce, ntime, version }.to_frame()
        };
        pool.push_frame(self.conn, &frame);
        sequence_number
    }

    /// Sends a share and reads its verdict: nothing wrong, or a code.
    pub(crate) fn submit(&mut self, pool: &mut Pool, channel_id: u32, share: &Share) -> Result<(), String> {
        let sequence = self.push_share(pool, channel_id, share);
        pool.tick();
        let heard = self.hear(pool);
        let verdict = heard.iter().find_map(|heard| match heard {
            Heard::Credited { channel, last, count: 1, .. } if (*channel, *last) == (channel_id, sequence) => {
                Some(Ok(()))
            }
            Heard::Refused { channel, sequence: of, code } if (*channel, *of) == (channel_id, sequence) => {
                Some(Err(code.clone()))
            }
            _ => None,
        });
        verdict.unwrap_or_else(|| panic!("no verdict in {heard:?}"))
    }

    /// The first share on the latest job that meets its target.
    pub(crate) fn hit(&self, channel_id: u32, extranonce: u64) -> Share {
        self.hit_rolling(channel_id, extranonce, 0)
    }

    /// The same with version bits rolled.
    pub(crate) fn hit_rolling(&self, channel_id: u32, extranonce: u64, bits: u32) -> Share {
        let channel = &self.channels[&channel_id];
        channel.search(channel.jobs.last().expect("a job"), extranonce, bits, |hash, target| target.is_met_by(hash))
    }
}

impl Job {
    /// Whether an output of its coinbase is `script`.
    pub(crate) fn pays(&self, script: &[u8]) -> bool {
        let Body::Coinbase { suffix, .. } = &self.body else { return false };
        suffix.windows(script.len()).any(|part| part == script)
    }
}

impl Channel {
    /// The first share on `job` whose hash pleases.
    pub(crate) fn search(
        &self,
        job: &Job,
        extranonce: u64,
        bits: u32,
        pleases: impl Fn(&Hash256, &Target) -> bool,
    ) -> Share {
        let header = self.header(job, extranonce, bits, job.ntime);
        for nonce in 0..5_000_000 {
            let hash = Header { nonce, ..header }.block_hash();
            if pleases(&Hash256::from_internal(hash.to_byte_array()), &job.target) {
                return self.share(job, extranonce, bits, job.ntime, nonce);
            }
        }
        panic!("no share in reach");
    }

    /// The share of a nonce, whatever it is worth.
    pub(crate) fn share(&self, job: &Job, extranonce: u64, bits: u32, ntime: u32, nonce: u32) -> Share {
        let header = Header { nonce, ..self.header(job, extranonce, bits, ntime) };
        Share {
            job: job.id,
            extranonce: extranonce.to_be_bytes()[8 - self.extranonce_bytes..].to_vec(),
            nonce,
            ntime,
            version: header.version.to_consensus() as u32,
            hash: header.block_hash(),
        }
    }

    fn header(&self, job: &Job, extranonce: u64, bits: u32, ntime: u32) -> Header {
        let root = match &job.body {
            Body::Root(root) => sha256d::Hash::from_byte_array(*root),
            Body::Coinbase { prefix, suffix, path } => {
                let own = &extranonce.to_be_bytes()[8 - self.extranonce_bytes..];
                let coinbase = sha256d::Hash::hash(&[prefix, &self.prefix, own, suffix].concat());
                path.iter().fold(coinbase, |node, branch| join(node, sha256d::Hash::from_byte_array(*branch)))
            }
        };
        Header {
            version: Version::from_consensus((job.version ^ bits) as i32),
            prev_blockhash: BlockHash::from_byte_array(*job.previous_block.as_internal()),
            merkle_root: TxMerkleNode::from_raw_hash(root),
            time: ntime,
            bits: CompactTarget::from_consensus(job.bits),
            nonce: 0,
        }
    }
}
