/**
 * Every text of the dashboard, in English. Its type is the contract for the other languages: a table that lacks a
 * text, or whose text takes other figures, does not compile. Sentences take their figures as arguments, because
 * their order differs between languages. Figures arrive formatted.
 */
export const en = {
  locale: 'en',
  skipToContent: 'Skip to content',
  documentTitle: (hashrate: string, pool: string) => `${hashrate} · ${pool}`,

  header: {
    home: (pool: string) => `${pool}, to the start`,
    connection: { live: 'Live', connecting: 'Connecting', polling: 'Polling', offline: 'Offline' },
    connectionLabel: 'Connection to the pool',
    uptime: (duration: string) => `Up ${duration}`,
    hideAddresses: 'Hide addresses',
    showAddresses: 'Show addresses',
    networks: { mainnet: 'Mainnet', testnet4: 'Testnet4', signet: 'Signet', regtest: 'Regtest' } as Record<string, string>,
  },

  banner: {
    offlineTitle: 'The pool does not answer',
    refusedTitle: 'The pool cannot show its figures',
    offline: (age: string) => `Figures are ${age} old. Trying again until it does.`,
    offlineNever: 'Nothing was received yet. Trying again until it answers.',
    staleTitle: 'Figures are old',
    stale: (age: string) => `The pool's last figures are from ${age} ago. Trying again.`,
    nodeTitles: {
      starting: 'Waiting for the Bitcoin node',
      syncing: 'The Bitcoin node is synchronising',
      wrong_chain: 'The Bitcoin node is on another network',
      lost: 'The Bitcoin node does not answer',
    } as Record<string, string>,
    nodeTitleOther: 'The Bitcoin node is not ready',
    nodeFallback: 'No new work can be handed out until it is ready.',
  },

  glance: {
    title: 'At a glance',
    hashrate: 'Pool hash rate',
    windowsLabel: 'Averaged over',
    windowNames: { '1m': '1 minute', '5m': '5 minutes', '15m': '15 minutes', '1h': '1 hour', '6h': '6 hours', '1d': '1 day', '7d': '7 days' } as Record<string, string>,
    mining: 'Mining',
    idle: 'Idle',
    halted: 'No work',
    miningDetail: (online: string, known: string) => `${online} of ${known} workers online`,
    idleDetail: 'No worker has sent a share recently',
    haltedDetail: 'The pool has no work to hand out',
    sharesAccepted: 'Shares accepted',
    sharesRejected: 'Rejected',
    blocksFound: 'Blocks found',
    blocksNone: 'The first one is still out there',
    blockLast: (age: string) => `Last one ${age} ago`,
  },

  ladder: {
    title: 'Best share',
    explain: 'Each rung is ten times rarer. At the top stands a block.',
    now: 'Since start',
    network: 'Block',
    factor: (factor: string) => `A block needs a share ${factor} times better`,
    reached: 'As good as a block',
    none: 'No share yet',
    summary: (best: string, network: string, percent: string) =>
      `Best share ${best} of network difficulty ${network}: ${percent} of the way up on a logarithmic scale`,
  },

  odds: {
    today: 'Chance of a block within a day',
    oneIn: (count: string) => `1 in ${count}`,
    none: 'None while nothing mines',
    expected: 'Expected time to a block',
    half: '50 % found one within',
    ninety: '90 % found one within',
    note: 'Luck has no memory: the odds start anew with every hash.',
  },

  chart: {
    title: 'Hash rate',
    ranges: { 1: '1 h', 6: '6 h', 24: '24 h' } as Record<number, string>,
    rangesLabel: 'Time span',
    rangeNames: { 1: 'Last hour', 6: 'Last 6 hours', 24: 'Last 24 hours' } as Record<number, string>,
    best: 'Best share',
    loading: 'Loading history',
    failed: 'The history could not be loaded.',
    empty: 'No history yet. The line starts with the first shares.',
    summary: (span: string, low: string, high: string, last: string) => `${span}: lowest ${low}, highest ${high}, latest ${last}.`,
  },

  workers: {
    title: 'Workers',
    search: 'Search workers',
    searchPlaceholder: 'Name, address or device',
    count: (shown: string, total: string) => `${shown} of ${total}`,
    more: (count: string) => `Show ${count} more`,
    noMatch: (query: string) => `No worker matches “${query}”.`,
    emptyTitle: 'No workers yet',
    empty: 'Point a miner at this pool and it appears here within seconds.',
    columns: {
      name: 'Worker',
      device: 'Device',
      hashrate: 'Hash rate, 1 h',
      day: 'Last 24 h',
      difficulty: 'Difficulty',
      best: 'Best share',
      lastShare: 'Last share',
      accepted: 'Accepted',
      rejected: 'Rejected',
    },
    never: 'never',
    bestNow: (best: string) => `now ${best}`,
    ago: (age: string) => `${age} ago`,
    medals: ['Best share of all workers', 'Second-best share', 'Third-best share'] as readonly string[],
    dayStrip: (high: string) => `Hash rate of the last 24 hours, at most ${high}`,
    causes: {
      stale: 'stale',
      unknown_job: 'unknown job',
      duplicate: 'duplicate',
      low_difficulty: 'low difficulty',
      unauthorized: 'not authorized',
      not_subscribed: 'not subscribed',
      time_too_old: 'time too old',
      time_too_new: 'time too new',
      version_outside_mask: 'version bits',
      extranonce2_size: 'extranonce2 size',
      malformed: 'malformed',
      job_exhausted: 'job exhausted',
    } as Record<string, string>,
    cause: (count: string, cause: string) => `${count} ${cause}`,
  },

  presence: {
    labels: { waiting: 'Connected', mining: 'Mining', silent: 'Silent', disconnected: 'Offline' } as Record<string, string>,
    waiting: (interval: string) => `Connected, no share yet: one every ${interval} expected`,
    waitingUnknown: 'Connected, no share yet',
    mining: (interval: string) => `Mining, one share every ${interval}`,
    miningUnknown: 'Mining',
    silent: (quiet: string, interval: string) => `No share for ${quiet}, one every ${interval} expected`,
    disconnected: (age: string) => `Not connected for ${age}`,
  },

  worker: {
    close: 'Close',
    notFound: 'No such worker is known. It may have been forgotten, or its name was changed.',
    loading: 'Loading worker',
    address: 'Address',
    device: 'Device',
    userAgent: 'Firmware',
    lastShare: 'Last share',
    difficulty: 'Difficulty',
    bestEver: 'Best share ever',
    bestNow: 'Best since the pool started',
    shareEvery: 'A share every',
    tipLatency: 'First share on a new tip',
    tipLatencies: (last: string, mean: string) => `${last}, mean ${mean}`,
    refusedOf: (count: string, share: string) => `${count} of its shares (${share})`,
    refusedNone: 'None of its shares',
    accepted: 'Accepted',
    rejected: 'Rejected',
    blocks: 'Blocks found',
    hashrates: 'Hash rate',
    expected: 'Alone, a block in about',
    payout: 'A block found by this worker now pays',
    payoutUnknown: 'Not known until there is a job.',
  },

  outputs: {
    roles: { miner: 'Miner', fee: 'Pool fee', donation: 'Operator donation', 'witness commitment': 'Witness commitment' } as Record<string, string>,
    you: (percent: string) => `You get ${percent}`,
    youOf: (bitcoin: string) => `${bitcoin} BTC`,
    youTo: (sats: string) => `of a block now: ${sats} sats to`,
    commitment: 'data, no value',
    caption: 'Who gets what',
    columns: { to: 'To', amount: 'BTC', share: 'Share' },
    bar: 'Division of the reward',
  },

  job: {
    title: 'Current job',
    waitingTitle: 'Waiting for the node',
    waiting: 'There is no job yet. As soon as the node hands out a template, miners get work and it is shown here.',
    block: (height: string) => `Block ${height}`,
    transactions: 'Transactions',
    fees: 'Fees',
    reward: 'Reward',
    weight: 'Weight',
    tag: 'Coinbase tag',
    difficulty: 'Network difficulty',
    previous: 'Builds on',
    id: 'Job',
    subsidyOnly: 'Subsidy only',
    subsidyOnlyHint: 'Made the moment the new tip was seen; the full template follows.',
    payees: 'Whoever finds it is paid',
    payee: (percent: string, sats: string) => `${percent}, ${sats} sats`,
    payeeWorkers: (count: number, shown: string) => (count === 1 ? '1 worker' : `${shown} workers`),
    payeesMore: (count: string) => `and ${count} more addresses`,
  },

  blocks: {
    title: 'Blocks',
    emptyTitle: 'No blocks yet',
    empty: 'When this pool finds one, it is listed here with its finder and what it paid.',
    columns: { height: 'Height', state: 'State', finder: 'Found by', payout: 'Payout (BTC)', luck: 'Share', age: 'Age', hash: 'Hash' },
    states: { pending: 'Pending', accepted: 'Accepted', confirmed: 'Confirmed', orphaned: 'Orphaned', rejected: 'Rejected' } as Record<string, string>,
    confirmations: (count: string) => `${count} confirmations`,
    explorer: (height: string) => `Block ${height} in the block explorer (opens mempool.space)`,
    found: (height: string, worker: string) => `Block ${height} found by ${worker}!`,
    more: 'Show older blocks',
  },

  node: {
    title: 'Bitcoin node',
    health: { starting: 'Starting', ready: 'Ready', syncing: 'Synchronising', wrong_chain: 'Wrong network', lost: 'Lost' } as Record<string, string>,
    height: 'Height',
    networkHashrate: 'Network hash rate',
    share: 'Our part of it',
    since: (duration: string) => `for ${duration}`,
    up: 'answers',
    down: 'does not answer',
    version: 'Version',
    latency: 'RPC latency',
    notifications: (zmq: boolean) => (zmq ? 'ZMQ' : 'no ZMQ, polling'),
    none: 'No node has answered yet.',
  },

  connect: {
    title: 'Connect a miner',
    intro: 'Enter this in your miner. No account is needed: the username says where a block is paid.',
    address: 'Pool address',
    protocols: { v1: 'Pool address', v1_tls: 'With encryption (TLS)', v2: 'Stratum V2' } as Record<string, string>,
    username: 'Username',
    usernameFormat: 'BITCOIN-ADDRESS.WORKER',
    usernameHint: 'Your own address, a dot, and a name of your choice for the machine.',
    password: 'Password',
    passwordHint: 'anything, e.g. x',
    copy: 'Copy',
    copied: 'Copied',
    copyManually: 'Press Ctrl+C to copy',
    copyWhat: (what: string) => `Copy ${what}`,
    qr: 'QR code',
    qrWhat: (what: string) => `QR code: ${what}`,
    qrOf: (url: string) => `QR code of ${url}`,
    qrMissing: 'The code could not be made. Copy the address instead.',
    none: 'The pool does not listen for miners.',
  },

  footer: {
    version: (version: string) => `WarpPool ${version}`,
    api: 'API',
    metrics: 'Metrics',
  },

  loading: 'Loading',
} as const;

type Widen<T> = T extends string
  ? string
  : T extends (...args: infer A) => string
    ? (...args: A) => string
    : T extends readonly string[]
      ? readonly string[]
      : { readonly [K in keyof T]: Widen<T[K]> };

/** A table of texts in any language. */
export type Messages = Widen<typeof en>;
