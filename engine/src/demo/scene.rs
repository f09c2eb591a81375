//! Node, pool, translator and miners of the demonstration.

use super::Failure;
use super::directory::Directory;
use super::miners::{self, Kind, Miner, Places};
use super::pools::{self, Running};
use crate::cli::arguments::Demo;
use crate::runtime::Pool;
use crossbeam::channel::Receiver;
use std::net::SocketAddr;
use std::sync::Arc;
use warppool_components::record::BlockRow;
use warppool_components::snapshot::Snapshot;
use warppool_net::transport::noise::AuthorityKey;
use warppool_simnode::{SimNode, SimNodeOptions};

/// nBits of every block: some four million hashes, two seconds for the miners together.
const BITS: u32 = 0x1e03_ffff;

/// The same where the demonstration ends by itself: less, so that each kind of miner finds one soon on a busy machine too.
const BITS_UNTIL_EXIT: u32 = 0x1e0a_ffff;

/// Everything that runs.
pub(super) struct Scene {
    /// The judge.
    pub(super) node: SimNode,
    /// The miners.
    pub(super) miners: Vec<Miner>,
    /// Where they connect.
    pub(super) places: Places,
    /// Where the dashboard is.
    pub(super) dashboard: SocketAddr,
    /// Whom the translator mines for.
    translator_user: String,
    /// The translator and the pool, in the order in which they end.
    running: Vec<Running>,
    directory: Directory,
}

impl Scene {
    /// Starts all of it.
    pub(super) fn open(arguments: &Demo) -> Result<(Self, Receiver<Arc<Snapshot>>), Failure> {
        let directory = Directory::make()?;
        let of_node = SimNodeOptions::regtest(directory.path().join("node"));
        let bits = if arguments.exit { BITS_UNTIL_EXIT } else { BITS };
        let node = SimNode::start(SimNodeOptions { bits, ..of_node })?;
        let (key, translator_user) = (AuthorityKey::generate(), miners::translator_user());
        let authority = key.public();
        let mut pool = Pool::start(pools::pool(arguments, &node, key, directory.path()))?;
        let snapshots = pool.watch();
        let (address, dashboard) = (pool.miner_addresses()[0], pool.dashboard_addresses()[0]);
        let pool = Running::start(pool)?;
        let options = pools::translator(address, authority, &translator_user, directory.path())?;
        let translator = Pool::start(options)?;
        let places = Places { pool: address, authority, translator: translator.miner_addresses()[0] };
        let running = vec![Running::start(translator)?, pool];
        let miners = miners::start(usize::from(arguments.miners), places);
        Ok((Self { node, miners, places, dashboard, translator_user, running, directory }, snapshots))
    }

    /// The kind of miner that found a block.
    pub(super) fn kind_of(&self, block: &BlockRow) -> Option<Kind> {
        if *block.worker_label == *self.translator_user {
            return Some(Kind::Translated);
        }
        self.miners.iter().find(|miner| *block.worker_label == *miner.username).map(|miner| miner.kind)
    }

    /// Lets the miners finish, so that what they count and what the pool counts agree.
    pub(super) fn close_miners(&mut self) {
        self.miners.iter_mut().for_each(Miner::close);
    }

    /// Ends translator, pool and node and removes their files.
    pub(super) fn close(self) -> Result<(), Failure> {
        let ended: Vec<_> = self.running.into_iter().map(Running::close).collect();
        self.node.stop();
        drop(self.directory);
        ended.into_iter().collect()
    }
}
