//! Bounds of the simulated node, each with its reason.

use std::time::Duration;

/// HTTP connections at once: a pool keeps two or three, a test some dozens. Further ones are closed.
pub(crate) const HTTP_CONNECTIONS_MAX: usize = 128;

/// Bytes of an HTTP request's line and headers. Core's limit is 8192.
pub(crate) const HTTP_HEAD_BYTES_MAX: usize = 8192;

/// Bytes of an HTTP request's body: Core's `MAX_SIZE`. The largest block takes 8 MB of hexadecimal digits.
pub(crate) const HTTP_BODY_BYTES_MAX: usize = 0x0200_0000;

/// How long a connection may be silent: Core's default `-rpcservertimeout`.
pub(crate) const HTTP_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Blocks below the tip whose transactions are kept; of older ones the header stays, as on a pruned node.
/// It bounds memory and the depth of a reorganisation.
pub(crate) const BLOCK_BODIES_KEPT: u32 = 1000;

/// Hashes of invalid blocks remembered for `duplicate-invalid`.
pub(crate) const INVALID_BLOCKS_KEPT_MAX: usize = 4096;

/// Outputs of simulated transactions that later ones may spend.
pub(crate) const SPENDABLE_COINS_MAX: usize = 1024;

/// Block events that wait for a slow subscriber; further ones are not told to it.
pub(crate) const EVENTS_QUEUED_MAX: usize = 1024;

/// Messages that wait for a slow ZMQ subscriber: Core's default high-water mark.
pub(crate) const ZMQ_HIGH_WATER_MARK: i32 = 1000;

/// Seconds a block's time may be ahead of the clock (consensus).
pub(crate) const FUTURE_BLOCK_SECONDS_MAX: u32 = 7200;

/// Weight of a block (consensus).
pub(crate) const BLOCK_WEIGHT_MAX: u64 = 4_000_000;

/// Weight that a template leaves for header and coinbase: Core's default `-blockreservedweight`.
pub(crate) const BLOCK_WEIGHT_RESERVED: u64 = 8000;

/// Most transactions a template can be asked to hold; more do not fit into a block.
pub(crate) const TEMPLATE_TRANSACTIONS_MAX: usize = 10_000;

/// How long a longpoll waits before it looks for new transactions, and between later looks, as Core does.
pub(crate) const LONGPOLL_FIRST_CHECK: Duration = Duration::from_secs(60);
/// See [`LONGPOLL_FIRST_CHECK`].
pub(crate) const LONGPOLL_NEXT_CHECK: Duration = Duration::from_secs(10);

/// Time between arrivals of new transactions.
pub(crate) const ARRIVAL_INTERVAL: Duration = Duration::from_secs(2);
