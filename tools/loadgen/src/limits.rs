//! Every bound of the load generator, each with its reason.

use std::time::Duration;

/// Longest line taken from a pool, in bytes. A notify stays under 2.5 KB; a pool that sends this much without a
/// newline is not speaking Stratum.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Connections of one run. All come from 127.0.0.1 to one port, and Linux hands out some 28,200 local ports.
pub const CONNECTIONS_MAX: usize = 28_000;

/// File descriptors needed beside the connections: event loop, /proc files, standard streams.
pub const FILES_BESIDE_CONNECTIONS: usize = 32;

/// Unanswered submits of one connection. Real proxies stay far below.
pub const WINDOW_MAX: usize = 1024;

/// Channels of one connection of Stratum V2: as many as a large proxy has miners behind it.
pub const CHANNELS_MAX: usize = 1024;

/// Seconds a run may take at most.
pub const RUN_SECONDS_MAX: u64 = 3600;

/// Connections that are being opened and logged in at once, where the order of opening is not what is measured:
/// few enough for a listen backlog of 256 and more, so that no connection attempt is lost and tried again after 1 s.
pub const LOGINS_AT_ONCE: usize = 256;

/// Latencies above this many nanoseconds are recorded as this (60 s).
pub const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// Bytes taken of a server's metrics page. Ours has some tens of kilobytes.
pub const METRICS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Violations kept as text by one miner. Further ones are only counted.
pub const VIOLATIONS_KEPT_MAX: usize = 64;

/// Job ids remembered by one miner per connection, to notice a reused one: over a day of jobs each 30 s.
pub const JOBS_REMEMBERED_MAX: usize = 4096;

/// Unanswered requests of one simulated miner. A pool that answers none of them is left.
pub const REQUESTS_PENDING_MAX: usize = 256;

/// Jobs of Stratum V2 that wait for their tip on one miner: as many as AxeOS keeps.
pub const FUTURE_JOBS_MAX: usize = 8;

/// Bytes of a notify with up to 14 branches (NerdMiner's JSON document is 4096 bytes, parsed).
pub const NOTIFY_BYTES_MAX: usize = 2560;

/// Characters of a job id.
pub const JOB_ID_CHARACTERS_MAX: usize = 8;

/// How long one slice of hashing may keep a simulated miner away from its socket.
pub const HASH_SLICE: Duration = Duration::from_millis(10);

/// First and longest pause before a simulated miner connects again.
pub const RECONNECT_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));
