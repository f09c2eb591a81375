//! Every bound of the system, each with its reason. A queue without an entry here is a defect.

/// Longest line a V1 miner may send, in bytes without the newline. Real requests stay under 1 KiB;
/// 16 KiB leaves room for odd proxies and costs nothing, because it is only buffered while it arrives.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// Longest payload of a frame that a V2 miner may send, in bytes. What a pool without job declaration is sent stays under
/// 1 KiB; the rest is room for extensions.
pub const FRAME_PAYLOAD_BYTES_MAX: usize = 16 * 1024;

/// Shares judged in one tick. One entity each, spawned at start and never despawned.
pub const SHARES_PER_TICK_MAX: usize = 8192;

/// Lines taken from one connection in one tick; the rest stays in the socket, so that a flood is slowed
/// down by TCP and its neighbours are served in between. Twenty that flood make a tick about a millisecond longer.
pub const LINES_PER_CONNECTION_PER_TICK_MAX: usize = 64;

/// Lines of all connections in one tick. Every line is at most one share.
pub const LINES_PER_TICK_MAX: usize = SHARES_PER_TICK_MAX;

/// Bytes a connection may leave unread before it is dropped: some 100 notifies of 2.5 KB.
pub const SEND_BUFFER_BYTES_MAX: usize = 256 * 1024;

/// Bytes left unread from which on a connection is not listened to until it reads again: TCP then slows it down, and one that
/// asks without end costs nothing. The rest of [`SEND_BUFFER_BYTES_MAX`] is room for jobs.
pub const SEND_BUFFER_BYTES_UNTIL_UNHEARD: usize = SEND_BUFFER_BYTES_MAX / 2;

/// Bytes asked of a socket in one read: more than a miner sends between two ticks.
pub const READ_BYTES_MAX: usize = 16 * 1024;

/// Bytes read from one connection in one tick; with blank or very long lines the count of lines alone would
/// not hold a flood back.
pub const READ_BYTES_PER_CONNECTION_PER_TICK_MAX: usize = 4 * READ_BYTES_MAX;

/// Bytes read from all connections in one tick: room for [`LINES_PER_TICK_MAX`] lines of 512 bytes.
pub const READ_BYTES_PER_TICK_MAX: usize = LINES_PER_TICK_MAX * 512;

/// Bytes that the kernel holds for a connection that does not read, before our own queue begins: room for twenty jobs or a
/// thousand answers, which is what a miner leaves unread for some minutes.
pub const SOCKET_SEND_BYTES_MAX: usize = 64 * 1024;

/// Connections that are sent a new job in one tick, largest hash rate first; the others follow in the next ticks. Preparing
/// and writing so many takes some milliseconds, and submits that come meanwhile wait no longer than that.
pub const FANOUT_CONNECTIONS_PER_TICK: usize = 1024;

/// Workers that one tick looks at for the picture of the pool; some half a millisecond. The others follow in the next ticks.
pub const WORKERS_PICTURED_PER_TICK: usize = 1024;

/// Connections accepted in one tick; a storm of them waits in the kernel's queue while miners are served.
pub const ACCEPTS_PER_TICK_MAX: usize = 256;

/// Handshakes of TLS or Noise carried one step further in one tick. A step of TLS costs 0.1 to 0.2 ms with a P-256 certificate
/// and 0.8 ms with RSA-2048, the one step of Noise less than 0.2 ms, so plain connections wait at most some milliseconds for
/// them; the rest of a storm waits in its sockets.
pub const HANDSHAKE_STEPS_PER_TICK_MAX: usize = 4;

/// Seconds in which a connection must have said so much that it is known what it speaks, and a Stratum V2 client its whole
/// key. Keys are the first thing that clients send. Who has said less by then is taken for a miner of Stratum V1.
pub const FIRST_BYTES_SECONDS_MAX: u64 = 5;

/// Seconds after its beginning at which a Stratum V2 connection is no longer worth an answer to its key: clients wait so long.
pub const NOISE_HANDSHAKE_SECONDS_MAX: u64 = 10;

/// Seconds for which Stratum V2 clients are shown the same certificate.
pub const NOISE_CERTIFICATE_SECONDS: u32 = 3600;

/// Seconds by which the clock of a Stratum V2 client may be wrong, both ways: a certificate is valid for so much longer than
/// it is shown. Small devices take the time from the network once, or late.
pub const NOISE_CERTIFICATE_LEEWAY_SECONDS: u32 = 3600;

/// Bytes of TLS records that are not whole yet, kept of one connection: the longest record that TLS 1.2 allows
/// (2^14 + 2048 bytes and its header), and as much of the next.
pub const TLS_RECEIVE_BYTES_MAX: usize = 2 * (16 * 1024 + 2048 + 5);

/// Plain bytes in one TLS record that we send. Small devices (ESP32) have a buffer of 4 KiB for a record.
pub const TLS_RECORD_BYTES_MAX: usize = 4 * 1024;

/// TLS 1.2 sessions remembered for clients that know no tickets. One takes some hundred bytes.
pub const TLS_SESSIONS_KEPT_MAX: usize = 1024;

/// Orders that wait for the thread that follows the certificate's files; only a reload gives one.
pub const CERTIFICATE_ORDERS_QUEUED_MAX: usize = 4;

/// Bytes of a PROXY header. Addresses take 52 bytes at most; the rest is room for extensions, which are passed over.
pub const PROXY_HEADER_BYTES_MAX: usize = 2048;

/// Seconds a proxy may take to send its header. It has nothing to wait for: the header is the first thing it sends.
pub const PROXY_HEADER_SECONDS_MAX: u64 = 5;

/// Bytes of an HTTP request's head that are looked at on the miners' port.
pub const HTTP_HINT_HEAD_BYTES_MAX: usize = 4 * 1024;

/// Difficulty changes remembered by a channel, so that a share is judged by the difficulty of its job.
/// One is used up only by a change that a job followed: at one job each 30 s this is over 7 minutes.
pub const DIFFICULTY_EPOCHS_MAX: usize = 16;

/// Changes of payee remembered by a channel, so that a share is judged with the coinbase of its job. Only the operator
/// makes one, by a reload.
pub const PAYOUT_CHANGES_MAX: usize = 16;

/// Jobs kept for late shares, over all tips. Old jobs of one tip stay valid for at least 5 minutes: at one
/// each 30 s plus template refreshes 64 is more than three times that.
pub const JOBS_KEPT_MAX: usize = 64;

/// Distinct payout scripts a job is prepared for at once. One costs a coinbase suffix and a notify body,
/// about 3 KB a job.
pub const PAYOUTS_MAX: usize = 16 * 1024;

/// Workers known at once, live and remembered.
pub const WORKERS_MAX: usize = 128 * 1024;

/// Workers authorized on one connection (proxies forward many).
pub const WORKERS_PER_CONNECTION_MAX: usize = 1024;

/// Channels of one Stratum V2 connection: a proxy opens one for each miner behind it.
pub const CHANNELS_PER_CONNECTION_MAX: usize = 1024;

/// Stratum V2 channels of all connections, as many as there may be workers. One takes less than 2 KB.
pub const CHANNELS_MAX: usize = WORKERS_MAX;

/// Bytes of a username (address, separator and worker name).
pub const USERNAME_BYTES_MAX: usize = 256;

/// Bytes of a worker's own name, after the address. Longer ones are cut.
pub const WORKER_NAME_BYTES_MAX: usize = 64;

/// Bytes kept of a miner's user agent.
pub const USER_AGENT_BYTES_MAX: usize = 128;

/// Bytes of a JSON request id that are echoed. A longer id is answered as a malformed request.
pub const REQUEST_ID_BYTES_MAX: usize = 64;

/// Extensions in one `mining.configure`. Five are known; each one asked for is answered by name.
pub const CONFIGURE_EXTENSIONS_MAX: usize = 32;

/// Bytes of the unique part of the coinbase handed to a connection, `extranonce1`.
pub const EXTRANONCE1_BYTES: usize = 4;

/// Bytes of the miner's own part of the coinbase, `extranonce2`. Marketplaces want 7 or more, cgminer refuses
/// more than 8, NerdMiner knows 2, 4 and 8.
pub const EXTRANONCE2_BYTES: usize = 8;

/// Bytes of `extranonce1` and `extranonce2` together, as the coinbase holds them.
pub const EXTRANONCE_BYTES: usize = EXTRANONCE1_BYTES + EXTRANONCE2_BYTES;

/// Bytes of the miner's own part of the coinbase where another pool makes the coinbase: pools give a proxy 8 bytes as a rule,
/// of which each connection needs [`EXTRANONCE1_BYTES`].
pub const UPSTREAM_EXTRANONCE2_BYTES: usize = 4;

/// Shares that were sent to an upstream pool and await its answer; beyond it further ones are not sent, because an upstream
/// that leaves so many unanswered takes none.
pub const UPSTREAM_ANSWERS_PENDING_MAX: usize = 1024;

/// Seconds after which an answer of the upstream is not waited for any more.
pub const UPSTREAM_ANSWER_SECONDS_MAX: u64 = 30;

/// Shares that wait for the upstream's thread, which does nothing else; as many as may await an answer.
pub const UPSTREAM_SHARES_QUEUED_MAX: usize = UPSTREAM_ANSWERS_PENDING_MAX;

/// Jobs of an upstream that wait for their tip. Pools send one or two ahead.
pub const UPSTREAM_FUTURE_JOBS_MAX: usize = 16;

/// Longest payload of a frame that is taken from an upstream: a job with a coinbase of two times 64 KiB.
pub const UPSTREAM_FRAME_PAYLOAD_BYTES_MAX: u32 = 256 * 1024;

/// Longest line that is taken from an upstream: such a job with its bytes in hexadecimal.
pub const UPSTREAM_LINE_BYTES_MAX: usize = 256 * 1024;

/// Messages of an upstream that come while an answer is waited for and are heard later. Pools send a difficulty and a job or two.
pub const UPSTREAM_KEPT_MESSAGES_MAX: usize = 32;

/// Characters of a text of an upstream that are logged: enough to understand it, too few to flood a log.
pub const UPSTREAM_TEXT_CHARACTERS_MAX: usize = 160;

/// Seconds between two messages for people of an upstream that are logged.
pub const UPSTREAM_MESSAGE_SECONDS: u64 = 10;

/// Bytes to an upstream that it does not read; far more than all answers that may be pending ask for.
pub const UPSTREAM_SEND_BYTES_MAX: usize = 256 * 1024;

/// Seconds for each step of a connection to an upstream: name, connect, handshake, setup, channel.
pub const UPSTREAM_STEP_SECONDS_MAX: u64 = 10;

/// Seconds of an upstream's silence after which it is taken for lost. Pools send a job every minute or so.
pub const UPSTREAM_SILENCE_SECONDS_MAX: u64 = 180;

/// Seconds between two rounds of attempts at all upstreams, at most; the first is one second, each further one twice the last.
pub const UPSTREAM_RETRY_SECONDS_MAX: u64 = 30;

/// Bytes of the pool's tag in the coinbase.
pub const POOL_TAG_BYTES_MAX: usize = 64;

/// Bytes of a coinbase's scriptSig (consensus).
pub const COINBASE_SCRIPT_BYTES_MAX: usize = 100;

/// Longest merkle path: 2^16 transactions do not fit into a block.
pub const MERKLE_BRANCHES_MAX: usize = 16;

/// Seconds a share's ntime may be ahead of the pool's clock (Core refuses blocks beyond 7200).
pub const NTIME_AHEAD_SECONDS_MAX: u32 = 7000;

/// Credited share hashes of a job after which it counts as crowded: each connection may add only a few more, and where rates
/// are not limited the next job goes out without waiting for its time, so that the duplicate check does not fill up.
pub const SHARE_HASHES_FOR_NEXT_JOB: usize = 1 << 20;

/// Credited share hashes remembered per job for the duplicate check. A full set stops crediting new shares of
/// that job rather than crediting one twice. Miners need a moment to follow the next job, so four times
/// [`SHARE_HASHES_FOR_NEXT_JOB`]; a set that full takes 64 MiB.
pub const SHARE_HASHES_PER_JOB_MAX: usize = 4 * SHARE_HASHES_FOR_NEXT_JOB;

/// Credited share hashes of one connection in one job (and as many in all earlier jobs together, until the next one), so
/// that nobody fills the duplicate check of others. Over 2000 shares a second, more than the fastest honest miner sends
/// before its difficulty has followed. Only where rates are limited.
pub const SHARE_HASHES_PER_CONNECTION_MAX: u32 = 1 << 16;

/// The same once a job holds [`SHARE_HASHES_FOR_NEXT_JOB`]: 30 a second, what no difficulty of ours asks of anybody. So
/// it takes 3000 connections that flood to fill a job for those who do not.
pub const SHARE_HASHES_PER_CONNECTION_IF_CROWDED_MAX: u32 = 1 << 10;

/// Credited shares a second beyond which a difficulty that the password pinned is raised all the same. A hundred times
/// what vardiff aims at; it costs the pool some 20 us of work and 300 bytes on disk a second.
pub const PINNED_SHARES_PER_SECOND_MAX: f64 = 10.0;

/// Invalid lines of a connection (refused shares but stale ones, lines that are no request, refused authorizes), faded over
/// some ten minutes, from which on nothing but their number is kept of those that follow. One every second.
pub const INVALID_LINES_UNTIL_CHEAP: u32 = 512;

/// Invalid lines of a connection, counted in the same way, at which it is closed. Seven a second: no unlucky and no slow
/// miner gets there.
pub const INVALID_LINES_UNTIL_CLOSED: u32 = 4096;

/// Network addresses whose recent connects or authorizes are remembered; 40 bytes each.
pub const ADDRESSES_REMEMBERED_MAX: usize = 64 * 1024;

/// Payees without a live connection that are kept, for one network address, until the last job that pays them is gone. A
/// miner that comes back finds its work still good; one that comes under ever new addresses is kept this many.
pub const PAYEES_LINGERING_PER_ADDRESS_MAX: usize = 64;

/// Usernames of a connection up to which they are searched one by one, which is faster than hashing for so few.
pub const SUBMITTERS_SEARCHED_MAX: usize = 8;

/// Messages that wait between the node's threads and the engine.
pub const NODE_EVENTS_QUEUED_MAX: usize = 256;

/// Bytes of a node's answer: a template of the heaviest block is some 9 MB of JSON; seven times that is no node's.
pub const RPC_REPLY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Bytes of a ZMQ message from a node: a raw block is at most 4 MB.
pub const ZMQ_MESSAGE_BYTES_MAX: i64 = 8 * 1024 * 1024;

/// Requests to look at the tip that wait for a node's watcher. One look serves all of them.
pub const TIP_CHECKS_QUEUED_MAX: usize = 16;

/// Former tips of a node that are remembered, so that a template which was asked for before the tip changed is
/// known for what it is. Deeper than any reorganisation that one slow answer could span.
pub const FORMER_TIPS_KEPT_MAX: usize = 16;

/// Found blocks that wait for one node's answer. On a network with money there is one; on regtest, where every
/// share can be a block, what exceeds this stays pending in the store.
pub const BLOCKS_SUBMITTING_MAX: usize = 256;

/// Found blocks whose confirmations are followed. The oldest is let go first.
pub const BLOCKS_FOLLOWED_MAX: usize = 1024;

/// Found blocks that the engine knows. Those whose fate the node's side looks after are among them.
pub const BLOCKS_KNOWN_MAX: usize = 2048;

/// Batches that wait for the store's thread; the engine keeps what does not fit and merges it.
pub const STORE_BATCHES_QUEUED_MAX: usize = 64;

/// Share rows that the engine keeps while the store lags. Beyond it the oldest raw rows are dropped and counted;
/// totals of workers are absolute and lose nothing.
pub const SHARE_ROWS_PENDING_MAX: usize = 1 << 20;

/// Share rows that the store's thread holds while the disk refuses them. Then it takes no more batches, so that
/// its queue fills and the engine keeps the rest ([`SHARE_ROWS_PENDING_MAX`]).
pub const STORE_ROWS_PENDING_MAX: usize = 1 << 18;

/// Share rows after which the store commits without waiting for its interval, so that no commit grows large.
pub const STORE_ROWS_PER_COMMIT: usize = 1 << 16;

/// Block rows that the store's thread holds while the disk refuses them; each may carry a block of 4 MB.
pub const STORE_BLOCK_ROWS_PENDING_MAX: usize = 64;

/// Changed workers in a commit of the store up to which their sums are written with it. More take over ten milliseconds, and wait
/// for the next sums.
pub const WORKERS_SUMMED_AT_ONCE: usize = 1024;

/// Commits of the store that may pass until sums that wait are written: five seconds, which the next open makes good after a
/// crash.
pub const COMMITS_BETWEEN_SUMS: u32 = 20;

/// Share rows packed into one value of the store: 25 KB, a twentieth of the cost of a row each.
pub const SHARE_ROWS_PER_CHUNK_MAX: usize = 1000;

/// Rows that one step of retention removes from one table; the next step follows 100 ms later. Full chunks of
/// 1000 shares age out at up to 5 million shares a second.
pub const STORE_PRUNED_PER_STEP_MAX: usize = 512;

/// Bytes of one text in a stored row. Usernames are shorter; a node's reason for a rejection is cut.
pub const STORE_TEXT_BYTES_MAX: usize = 1024;

/// Longest file of the store, in bytes, that is read as a whole when it is opened: a second on a disk of today, some on a memory
/// card. A longer one is taken for intact, so that a large pool is back at once.
pub const STORE_CHECKED_AT_OPEN_BYTES_MAX: u64 = 256 << 20;

/// Points of one answer of the store about the past; the HTTP side allows fewer.
pub const STORE_HISTORY_POINTS_MAX: usize = 10_000;

/// Raw share rows read for one answer about the past, some 100 MB; aggregates answer for longer times.
pub const HISTORY_ROWS_MAX: usize = 1 << 22;

/// Blocks read from the store at once.
pub const BLOCKS_PER_READ_MAX: usize = 1000;

/// Bytes of a setting's name and value together.
pub const SETTING_BYTES_MAX: usize = 16 * 1024;

/// Changed settings that wait for a commit of the store.
pub const SETTINGS_PENDING_MAX: usize = 256;

/// Events kept for browsers that come back with `Last-Event-ID`.
pub const EVENTS_KEPT_MAX: usize = 1024;

/// Browsers listening to events at once.
pub const EVENT_LISTENERS_MAX: usize = 256;

/// Snapshots and events that wait between the engine and the HTTP thread; beyond it they are dropped and counted.
pub const ADMIN_MESSAGES_QUEUED_MAX: usize = 4096;

/// Questions to the store that HTTP has under way at once; each holds a thread and a read transaction.
pub const HISTORY_CALLS_MAX: usize = 4;

/// Points of one answer of hash rate history: more than any screen has columns.
pub const HISTORY_POINTS_MAX: u64 = 2000;

/// Rows on one page of a list.
pub const PAGE_ROWS_MAX: usize = 1000;

/// Workers of which there are metrics of their own: every one is 17 time series.
pub const WORKER_METRICS_MAX: usize = 1000;

/// Open HTTP connections at once.
pub const HTTP_CONNECTIONS_MAX: usize = 1024;

/// Bytes of an HTTP request's body.
pub const HTTP_BODY_BYTES_MAX: usize = 1024 * 1024;

/// Sessions remembered after their connection closed, so that a miner which comes back with its session id
/// gets its `extranonce1` again.
pub const SESSIONS_KEPT_MAX: usize = 64 * 1024;

/// Seconds such a session is remembered.
pub const SESSION_KEPT_SECONDS: u64 = 600;

/// Seconds a connection may live without an authorized worker.
pub const AUTHORIZE_DEADLINE_SECONDS: u64 = 60;

/// Seconds between two jobs on the same tip when no new template came: something is sent at least every 60 s,
/// because cgminer gives a pool up after 90 s of silence.
pub const JOB_REFRESH_SECONDS: u64 = 30;

/// Seconds after which a miner that was sent no job is sent its difficulty again, while no node gives work: cgminer gives a
/// pool up after 90 s of silence, and the pool decides by itself when to let it go.
pub const KEEP_ALIVE_SECONDS: u64 = 40;

/// Confirmations until a found block is no longer followed: then its coinbase can be spent.
pub const CONFIRMATIONS_FOLLOWED: u32 = 100;

/// Seconds an orphaned block is still followed and its bytes are kept, because the chain may come back to it:
/// twice the usual time of [`CONFIRMATIONS_FOLLOWED`] blocks.
pub const ORPHANED_BLOCK_FOLLOWED_SECONDS: u64 = 2 * 600 * CONFIRMATIONS_FOLLOWED as u64;

/// Blocks held in the snapshot for the dashboard; older ones are read from the store.
pub const BLOCKS_IN_SNAPSHOT_MAX: usize = 64;

/// Lines that wait for whoever reads the log: some 20 MiB at the most.
pub const LOG_LINES_QUEUED_MAX: usize = 64 * 1024;

/// Bytes of a text that the HTTP interface makes a QR code of: a host name of the greatest length with its port and key.
pub const QR_TEXT_BYTES_MAX: usize = 384;

/// Longest line of a pool that `warppool doctor` and `verify` read: thirty times what a small device takes.
pub const CLIENT_LINE_BYTES_MAX: usize = 64 * 1024;

/// Lines kept of one connection of `warppool doctor`, for the transcript of a failure.
pub const CLIENT_TRANSCRIPT_LINES_MAX: usize = 200;

/// Bytes shown of one line of a transcript; a job is longer, but its start tells which one it is.
pub const CLIENT_TRANSCRIPT_LINE_BYTES_MAX: usize = 400;

/// Bytes of a message from the operator to miners: a line on a small screen, and far from what devices buffer.
pub const MINER_MESSAGE_BYTES_MAX: usize = 200;

/// Bytes of a host name that miners are sent to: the longest that the domain name system knows.
pub const RECONNECT_HOST_BYTES_MAX: usize = 253;

/// Orders of the operator that wait for the engine; one at a time is given by a person.
pub const CONTROL_REQUESTS_QUEUED_MAX: usize = 16;

/// Bytes of one order on the control socket.
pub const CONTROL_LINE_BYTES_MAX: usize = 4 * 1024;

const _: () = assert!(EXTRANONCE1_BYTES >= 4 && EXTRANONCE1_BYTES <= 6, "stratum-v1 rule 10");
const _: () = assert!(UPSTREAM_EXTRANONCE2_BYTES >= 4 && UPSTREAM_EXTRANONCE2_BYTES < EXTRANONCE2_BYTES);
const _: () = assert!(EXTRANONCE2_BYTES >= 7 && EXTRANONCE2_BYTES <= 8, "stratum-v1 rule 10");
// Height push, job number push, tag push with its length, extranonce push: must fit at the longest tag.
const _: () = assert!(6 + 5 + 1 + POOL_TAG_BYTES_MAX + 1 + EXTRANONCE_BYTES <= COINBASE_SCRIPT_BYTES_MAX);
const _: () = assert!(LINES_PER_CONNECTION_PER_TICK_MAX <= LINES_PER_TICK_MAX);
const _: () = assert!(BLOCKS_KNOWN_MAX >= BLOCKS_FOLLOWED_MAX + BLOCKS_SUBMITTING_MAX + BLOCKS_IN_SNAPSHOT_MAX);
const _: () = assert!(JOB_REFRESH_SECONDS < KEEP_ALIVE_SECONDS && KEEP_ALIVE_SECONDS < 60, "stratum-v1 rule 20");
const _: () = assert!(JOB_REFRESH_SECONDS * 2 <= 60, "one lost notify must not end in silence of 60 s");
const _: () = assert!(
    PROXY_HEADER_BYTES_MAX <= READ_BYTES_MAX && HTTP_HINT_HEAD_BYTES_MAX <= READ_BYTES_MAX,
    "both are looked at in the read buffer"
);
