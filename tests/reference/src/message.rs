//! Frames and messages: the reference crates' own reading of bytes, plus what they let pass.

use binary_sv2::{Deserialize, GetSize, Serialize};
use common_messages_sv2 as common;
use framing_sv2::framing::{EncodableFrame, MessageFrame, SerializedFrame};
use framing_sv2::header::Header;
use mining_sv2 as mining;

/// Longest frame that a Bitaxe takes, header included (AxeOS: 8 KB).
pub const FRAME_BYTES_MAX: usize = 8 * 1024;

macro_rules! messages {
    ($($name:ident: $owned:ty = $borrowed:ty, $kind:expr, $is_channel:expr;)*) => {
        /// What a pool may send.
        #[derive(Clone, Debug)]
        #[allow(missing_docs)]
        pub enum Message {
            $($name($owned),)*
        }

        impl Message {
            /// Its name in the specification's words.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }

            /// Reads one frame.
            ///
            /// # Panics
            /// When it is not exactly one message that a pool may send.
            pub fn read(frame: &[u8]) -> Self {
                let (header, mut payload) = open(frame);
                let kind = header.msg_type();
                $(
                    if kind == $kind {
                        let name = stringify!($name);
                        assert_eq!(header.channel_msg(), $is_channel, "{name} has the wrong channel bit");
                        return Self::$name(decode::<$borrowed>(name, &mut payload).into_owned());
                    }
                )*
                panic!("no pool sends a message of type {kind:#04x}: {frame:02x?}");
            }
        }
    };
}

messages! {
    SetupConnectionSuccess: common::SetupConnectionSuccessOwned = common::SetupConnectionSuccess,
        common::MESSAGE_TYPE_SETUP_CONNECTION_SUCCESS, common::CHANNEL_BIT_SETUP_CONNECTION_SUCCESS;
    SetupConnectionError: common::SetupConnectionErrorOwned = common::SetupConnectionError,
        common::MESSAGE_TYPE_SETUP_CONNECTION_ERROR, common::CHANNEL_BIT_SETUP_CONNECTION_ERROR;
    Reconnect: common::ReconnectOwned = common::Reconnect,
        common::MESSAGE_TYPE_RECONNECT, common::CHANNEL_BIT_RECONNECT;
    OpenStandardMiningChannelSuccess:
        mining::OpenStandardMiningChannelSuccessOwned = mining::OpenStandardMiningChannelSuccess,
        mining::MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL_SUCCESS,
        mining::CHANNEL_BIT_OPEN_STANDARD_MINING_CHANNEL_SUCCESS;
    OpenExtendedMiningChannelSuccess:
        mining::OpenExtendedMiningChannelSuccessOwned = mining::OpenExtendedMiningChannelSuccess,
        mining::MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL_SUCCESS,
        mining::CHANNEL_BIT_OPEN_EXTENDED_MINING_CHANNEL_SUCCESS;
    OpenMiningChannelError: mining::OpenMiningChannelErrorOwned = mining::OpenMiningChannelError,
        mining::MESSAGE_TYPE_OPEN_MINING_CHANNEL_ERROR, mining::CHANNEL_BIT_OPEN_MINING_CHANNEL_ERROR;
    NewMiningJob: mining::NewMiningJobOwned = mining::NewMiningJob,
        mining::MESSAGE_TYPE_NEW_MINING_JOB, mining::CHANNEL_BIT_NEW_MINING_JOB;
    NewExtendedMiningJob: mining::NewExtendedMiningJobOwned = mining::NewExtendedMiningJob,
        mining::MESSAGE_TYPE_NEW_EXTENDED_MINING_JOB, mining::CHANNEL_BIT_NEW_EXTENDED_MINING_JOB;
    SetNewPrevHash: mining::SetNewPrevHashOwned = mining::SetNewPrevHash,
        mining::MESSAGE_TYPE_MINING_SET_NEW_PREV_HASH, mining::CHANNEL_BIT_MINING_SET_NEW_PREV_HASH;
    SetTarget: mining::SetTargetOwned = mining::SetTarget,
        mining::MESSAGE_TYPE_SET_TARGET, mining::CHANNEL_BIT_SET_TARGET;
    UpdateChannelError: mining::UpdateChannelErrorOwned = mining::UpdateChannelError,
        mining::MESSAGE_TYPE_UPDATE_CHANNEL_ERROR, mining::CHANNEL_BIT_UPDATE_CHANNEL_ERROR;
    CloseChannel: mining::CloseChannelOwned = mining::CloseChannel,
        mining::MESSAGE_TYPE_CLOSE_CHANNEL, mining::CHANNEL_BIT_CLOSE_CHANNEL;
    SetExtranoncePrefix: mining::SetExtranoncePrefixOwned = mining::SetExtranoncePrefix,
        mining::MESSAGE_TYPE_SET_EXTRANONCE_PREFIX, mining::CHANNEL_BIT_SET_EXTRANONCE_PREFIX;
    SubmitSharesSuccess: mining::SubmitSharesSuccessOwned = mining::SubmitSharesSuccess,
        mining::MESSAGE_TYPE_SUBMIT_SHARES_SUCCESS, mining::CHANNEL_BIT_SUBMIT_SHARES_SUCCESS;
    SubmitSharesError: mining::SubmitSharesErrorOwned = mining::SubmitSharesError,
        mining::MESSAGE_TYPE_SUBMIT_SHARES_ERROR, mining::CHANNEL_BIT_SUBMIT_SHARES_ERROR;
    SetGroupChannel: mining::SetGroupChannelOwned = mining::SetGroupChannel,
        mining::MESSAGE_TYPE_SET_GROUP_CHANNEL, mining::CHANNEL_BIT_SET_GROUP_CHANNEL;
}

/// Header and payload of exactly one frame of the base protocol.
fn open(frame: &[u8]) -> (Header, Vec<u8>) {
    assert!(frame.len() <= FRAME_BYTES_MAX, "a frame of {} bytes is more than a Bitaxe takes", frame.len());
    let mut whole = SerializedFrame::from_bytes(frame.to_vec())
        .unwrap_or_else(|hint| panic!("not exactly one frame ({hint}): {frame:02x?}"));
    let extension = whole.header().ext_type_without_channel_msg();
    assert_eq!(extension, 0, "an extension that nobody negotiated: {frame:02x?}");
    (whole.header(), whole.payload().to_vec())
}

/// A payload's message. The reference crates overlook bytes behind it; here they are a violation.
fn decode<'a, T: Deserialize<'a> + GetSize>(name: &str, payload: &'a mut [u8]) -> T {
    let length = payload.len();
    let message: T = binary_sv2::from_bytes(payload).unwrap_or_else(|error| panic!("{name} cannot be read: {error}"));
    assert_eq!(message.get_size(), length, "{name} has a payload of another length than its fields");
    message
}

/// A message as one frame.
///
/// # Panics
/// When it is too long for a frame.
pub fn frame<T: Serialize + GetSize>(message: T, kind: u8, is_channel: bool) -> Vec<u8> {
    let frame = MessageFrame::from_message(message, kind, 0, is_channel).expect("a message that fits into a frame");
    let mut bytes = vec![0; frame.encoded_length()];
    frame.encode_into(&mut bytes).expect("a buffer of the frame's length");
    bytes
}

/// The frames that bytes consist of.
///
/// # Panics
/// When they do not end with a frame's end.
pub fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let header = rest.get(..Header::SIZE).and_then(|header| Header::from_bytes(header).ok());
        let header = header.unwrap_or_else(|| panic!("a write ends within a header: {rest:02x?}"));
        let length = Header::SIZE + header.payload_length();
        assert!(rest.len() >= length, "a write ends within a frame of {length} bytes: {rest:02x?}");
        let (frame, behind) = rest.split_at(length);
        frames.push(frame);
        rest = behind;
    }
    frames
}
