//! What is asked of a node, and what comes back. Decisions are made of these alone: who puts the questions, and over what
//! wire, is somebody else's business.

use super::rpc::{ChainInfo, Header, MiningInfo, NetworkInfo, RpcError, ZmqNotification};
use super::submit::Submission;
use super::template::{CheckedTemplate, TemplateError};
use std::sync::Arc;
use warppool_components::units::{Hash256, Instant};

/// A call to a node.
#[derive(Clone, Debug)]
pub enum Question {
    /// `getblockchaininfo`, answered with [`Reply::ChainInfo`].
    ChainInfo,
    /// `getnetworkinfo`, answered with [`Reply::NetworkInfo`].
    NetworkInfo,
    /// `getzmqnotifications`, answered with [`Reply::ZmqNotifications`].
    ZmqNotifications,
    /// `getmininginfo`, answered with [`Reply::MiningInfo`].
    MiningInfo,
    /// `getbestblockhash`, answered with [`Reply::Hash`].
    BestBlockHash,
    /// `getblockhash` of this height, answered with [`Reply::Hash`].
    BlockHash(u32),
    /// `getblockheader` of this block, answered with [`Reply::Header`].
    BlockHeader(Hash256),
    /// `getblocktemplate`, answered with [`Reply::Template`].
    Template {
        /// With it the node answers when it has something newer than what this names.
        longpoll_id: Option<String>,
    },
    /// `submitblock`, answered with [`Reply::Submitted`].
    Submit(Arc<Submission>),
}

/// What a node answered.
#[derive(Debug)]
pub enum Reply {
    /// Its chain.
    ChainInfo(ChainInfo),
    /// Its version.
    NetworkInfo(NetworkInfo),
    /// Where it publishes.
    ZmqNotifications(Vec<ZmqNotification>),
    /// What it knows of all miners.
    MiningInfo(MiningInfo),
    /// A block.
    Hash(Hash256),
    /// A header; `None` when the node does not know the block.
    Header(Option<Header>),
    /// A template, or why it cannot be used.
    Template(Result<Box<CheckedTemplate>, TemplateError>),
    /// `None` is the node's `null`: accepted. Otherwise why not, in BIP22's words.
    Submitted(Option<String>),
}

/// How a call ended.
pub type Outcome = Result<Reply, RpcError>;

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Next {
    /// To ask this node, and to come back with the outcome.
    Ask(usize, Question),
    /// To come back at this moment, or when called.
    Wait(Option<Instant>),
    /// Nothing ever again.
    End,
}
