//! What pools say, right or wrong, by the reference project's messages.

use binary_sv2::{B032Owned, B064KOwned, Seq064KOwned, Seq0255Owned, Str0255Owned, Sv2OptionOwned, U256Owned};
use bitcoin::Target;
use common_messages_sv2 as common;
use mining_sv2 as mining;
use warppool_reference::message::frame;

/// The latest Bitcoin times.
pub(crate) const NOW: u32 = 1_800_000_000;

/// Every second hash is a block.
pub(crate) const EASY_BITS: u32 = 0x207f_ffff;

/// The group of all channels.
pub(crate) const GROUP: u32 = 1000;

/// Bytes of a hash that people write in the other direction.
pub(crate) fn internal(display: &str) -> [u8; 32] {
    let byte = |place: usize| u8::from_str_radix(&display[place * 2..place * 2 + 2], 16).expect("hexadecimal");
    std::array::from_fn(|place| byte(31 - place))
}

pub(crate) fn setup_success(flags: u32) -> Vec<u8> {
    frame(
        common::SetupConnectionSuccess { used_version: 2, flags },
        common::MESSAGE_TYPE_SETUP_CONNECTION_SUCCESS,
        false,
    )
}

pub(crate) fn standard_opened(request_id: u32, channel_id: u32, prefix: &[u8], target: Target) -> Vec<u8> {
    let message = mining::OpenStandardMiningChannelSuccessOwned {
        request_id,
        channel_id,
        target: target.to_le_bytes().into(),
        extranonce_prefix: B032Owned::new(prefix.to_vec()).expect("short"),
        group_channel_id: GROUP,
    };
    frame(message, mining::MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL_SUCCESS, false)
}

pub(crate) fn extended_opened(request_id: u32, channel_id: u32, prefix: &[u8], size: u16, target: Target) -> Vec<u8> {
    let message = mining::OpenExtendedMiningChannelSuccessOwned {
        request_id,
        channel_id,
        target: target.to_le_bytes().into(),
        extranonce_size: size,
        extranonce_prefix: B032Owned::new(prefix.to_vec()).expect("short"),
        group_channel_id: GROUP,
    };
    frame(message, mining::MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL_SUCCESS, false)
}

pub(crate) fn job_of(channel_id: u32, job_id: u32, min_ntime: Option<u32>, version: u32, root: [u8; 32]) -> Vec<u8> {
    let min_ntime = Sv2OptionOwned::new(min_ntime);
    let message = mining::NewMiningJobOwned { channel_id, job_id, min_ntime, version, merkle_root: root.into() };
    frame(message, mining::MESSAGE_TYPE_NEW_MINING_JOB, true)
}

/// A standard job that differs from others by its id.
pub(crate) fn job(channel_id: u32, job_id: u32, min_ntime: Option<u32>) -> Vec<u8> {
    job_of(channel_id, job_id, min_ntime, 0x2000_0000, [job_id as u8; 32])
}

/// A coinbase around so many bytes of extranonce: before and behind it.
pub(crate) fn coinbase(number: u32, extranonce_bytes: usize) -> (Vec<u8>, Vec<u8>) {
    let number = number.to_le_bytes();
    let script_bytes = (1 + number.len() + extranonce_bytes) as u8;
    let outpoint = [vec![0; 32], vec![0xff; 4]].concat();
    let script = [vec![script_bytes, number.len() as u8], number.to_vec()].concat();
    let prefix = [vec![2, 0, 0, 0, 1], outpoint, script].concat();
    let output = [5_000_000_000_u64.to_le_bytes().to_vec(), vec![1, 0x51]].concat();
    let suffix = [vec![0xff, 0xff, 0xff, 0xff, 1], output, vec![0; 4]].concat();
    (prefix, suffix)
}

/// An extended job with this coinbase.
pub(crate) fn extended_job_of(id: (u32, u32), min_ntime: Option<u32>, coinbase: (Vec<u8>, Vec<u8>)) -> Vec<u8> {
    let message = mining::NewExtendedMiningJobOwned {
        channel_id: id.0,
        job_id: id.1,
        min_ntime: Sv2OptionOwned::new(min_ntime),
        version: 0x2000_0000,
        version_rolling_allowed: true,
        merkle_path: Seq0255Owned::new(vec![U256Owned::from([9; 32])]).expect("short"),
        coinbase_tx_prefix: B064KOwned::new(coinbase.0).expect("short"),
        coinbase_tx_suffix: B064KOwned::new(coinbase.1).expect("short"),
    };
    frame(message, mining::MESSAGE_TYPE_NEW_EXTENDED_MINING_JOB, true)
}

pub(crate) fn tip_of(channel_id: u32, job_id: u32, previous: [u8; 32], min_ntime: u32, nbits: u32) -> Vec<u8> {
    let message = mining::SetNewPrevHashOwned { channel_id, job_id, prev_hash: previous.into(), min_ntime, nbits };
    frame(message, mining::MESSAGE_TYPE_MINING_SET_NEW_PREV_HASH, true)
}

/// A tip that differs from others by the job it names.
pub(crate) fn tip(channel_id: u32, job_id: u32) -> Vec<u8> {
    tip_of(channel_id, job_id, [job_id as u8 + 100; 32], NOW, EASY_BITS)
}

pub(crate) fn target(channel_id: u32, target: Target) -> Vec<u8> {
    let message = mining::SetTargetOwned { channel_id, maximum_target: target.to_le_bytes().into() };
    frame(message, mining::MESSAGE_TYPE_SET_TARGET, true)
}

pub(crate) fn prefix(channel_id: u32, prefix: &[u8]) -> Vec<u8> {
    let extranonce_prefix = B032Owned::new(prefix.to_vec()).expect("short");
    let message = mining::SetExtranoncePrefixOwned { channel_id, extranonce_prefix };
    frame(message, mining::MESSAGE_TYPE_SET_EXTRANONCE_PREFIX, true)
}

pub(crate) fn group(group_channel_id: u32, channels: &[u32]) -> Vec<u8> {
    let channel_ids = Seq064KOwned::new(channels.to_vec()).expect("few");
    let message = mining::SetGroupChannelOwned { group_channel_id, channel_ids };
    frame(message, mining::MESSAGE_TYPE_SET_GROUP_CHANNEL, false)
}

pub(crate) fn credited(channel_id: u32, last_sequence_number: u32, count: u32, sum: u64) -> Vec<u8> {
    let message = mining::SubmitSharesSuccess {
        channel_id,
        last_sequence_number,
        new_submits_accepted_count: count,
        new_shares_sum: sum,
    };
    frame(message, mining::MESSAGE_TYPE_SUBMIT_SHARES_SUCCESS, true)
}

pub(crate) fn refused(channel_id: u32, sequence_number: u32, code: &str) -> Vec<u8> {
    let error_code = Str0255Owned::new(code.as_bytes().to_vec()).expect("short");
    let message = mining::SubmitSharesErrorOwned { channel_id, sequence_number, error_code };
    frame(message, mining::MESSAGE_TYPE_SUBMIT_SHARES_ERROR, true)
}
