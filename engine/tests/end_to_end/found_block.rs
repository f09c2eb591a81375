//! `kill -9` at every step of a found block's way, and what the next start finds. The table of docs/found-block.md is
//! made of what happens here: a row that is not true fails this test.

use crate::harness::{Pool, RawMiner, Site, address, builds_on, node_with, run, until};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use warppool_io::failpoint;
use warppool_simnode::{Failure, Faults, SimNode};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/found-block.md");
const TABLE_BEGIN: &str = "<!-- table: written by the test, do not edit -->\n";
const TABLE_END: &str = "<!-- end of table -->\n";

/// Cases that run side by side.
const THREADS: usize = 3;

/// What the next start finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    /// In the chain and in the pool's list.
    Whole,
    /// In the chain and paid; the pool does not know that it was its own.
    InChain,
    /// Nowhere.
    Lost,
}

/// One row of the table.
struct Case {
    /// How far the block had come.
    step: &'static str,
    /// Which failpoints make the pool die just there.
    kill: Kill,
    expected: Found,
}

#[derive(Clone, Copy)]
enum Kill {
    /// The process dies of these failpoints.
    At(&'static str),
    /// The same with a second node behind the first.
    AtWithTwoNodes(&'static str),
    /// `kill -9` from outside while the node, which has these faults, keeps its answer back.
    WhileNodeIsSilent(NodeDoes),
    /// The process dies of the first failpoints, and then at each of the next starts.
    Again(&'static [&'static str]),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NodeDoes {
    /// Holds the call back.
    NotTakeIt,
    /// Takes the block and holds the answer back.
    TakeIt,
    /// Answers 503 each time.
    Refuse,
}

const CASES: [Case; 16] = [
    Case { step: "Judged; no node was given it yet", kill: Kill::At("block.found=abort"), expected: Found::Lost },
    Case {
        step: "Given to the first of two nodes' threads; no byte sent",
        kill: Kill::AtWithTwoNodes("submit.send=hold,block.handed-to-one=abort"),
        expected: Found::Lost,
    },
    Case {
        step: "Given to all nodes' threads; no byte sent",
        kill: Kill::At("submit.send=hold,block.handed-to-all=abort"),
        expected: Found::Lost,
    },
    Case {
        step: "No byte sent; the store has it, nothing written",
        kill: Kill::At("submit.send=hold,journal.write=abort"),
        expected: Found::Lost,
    },
    Case {
        step: "No byte sent; journal written, not synced",
        kill: Kill::At("submit.send=hold,journal.sync=abort"),
        expected: Found::Lost,
    },
    Case {
        step: "No byte sent; journal synced",
        kill: Kill::At("submit.send=hold,journal.synced=abort"),
        expected: Found::Whole,
    },
    Case {
        step: "Sent to the first of two nodes, the second has not got it; not journaled",
        kill: Kill::AtWithTwoNodes("block.handed-to-one=abort@submit.answered"),
        expected: Found::InChain,
    },
    Case {
        step: "Sent to all; not given to the store",
        kill: Kill::At("block.handed-to-all=abort@submit.answered"),
        expected: Found::InChain,
    },
    Case {
        step: "Sent to all; journal written, not synced",
        kill: Kill::At("journal.sync=abort@submit.answered"),
        expected: Found::InChain,
    },
    Case {
        step: "Journaled; the node holds the call back",
        kill: Kill::WhileNodeIsSilent(NodeDoes::NotTakeIt),
        expected: Found::Whole,
    },
    Case {
        step: "Journaled; the node has taken it and holds its answer back",
        kill: Kill::WhileNodeIsSilent(NodeDoes::TakeIt),
        expected: Found::Whole,
    },
    Case {
        step: "Journaled; the node answers 503, attempts go on",
        kill: Kill::WhileNodeIsSilent(NodeDoes::Refuse),
        expected: Found::Whole,
    },
    Case {
        step: "The node's answer is read; the engine does not know it",
        kill: Kill::At("submit.answered=abort@journal.synced"),
        expected: Found::Whole,
    },
    Case {
        step: "The outcome is with the store, nothing written",
        kill: Kill::At("submit.answered=wait@journal.synced,outcome.write=abort"),
        expected: Found::Whole,
    },
    Case {
        step: "The outcome is written, not synced",
        kill: Kill::At("submit.answered=wait@journal.synced,outcome.sync=abort"),
        expected: Found::Whole,
    },
    Case {
        step: "Journaled; then at each start again: journal read, before it is sent, answer read, outcome unsynced, outcome synced",
        kill: Kill::Again(&[
            "submit.send=hold,journal.synced=abort",
            "restart.journal-read=abort",
            "submit.send=abort",
            "submit.answered=abort",
            "outcome.sync=abort",
            "outcome.synced=abort",
        ]),
        expected: Found::Whole,
    },
];

#[test]
fn a_kill_at_every_step_leaves_what_the_table_says() {
    if !failpoint::ARE_COMPILED {
        eprintln!("a release build has no failpoints: nothing to see");
        return;
    }
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(vec![String::new(); CASES.len()]));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((place, case)) = take(&next) {
                    let found = Play::new(case).run(case);
                    assert_eq!(found, case.expected, "{}", case.step);
                    rows.lock().unwrap()[place] = row(case, found);
                }
            });
        }
    });
    check_page(&rows.into_inner().unwrap().concat());
}

fn take(next: &AtomicUsize) -> Option<(usize, &'static Case)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    CASES.get(place).map(|case| (place, case))
}

/// The nodes, the pool's directory, and the block.
struct Play {
    nodes: Vec<(SimNode, TempDir)>,
    site: Site,
    hash: String,
}

impl Play {
    fn new(case: &Case) -> Self {
        // Two of three hashes are blocks. The second node is another chain, as one that is far behind.
        let mut nodes = vec![node_with(|options| options.bits = 0x207f_ffff)];
        let mut site = Site::new(&nodes[0].0);
        if matches!(case.kill, Kill::AtWithTwoNodes(_)) {
            nodes.push(node_with(|options| (options.initial_height, options.seed) = (20, 2)));
            site = site.with_second(&nodes[1].0);
        }
        Self { nodes, site, hash: String::new() }
    }

    fn run(mut self, case: &Case) -> Found {
        match case.kill {
            Kill::At(failpoints) | Kill::AtWithTwoNodes(failpoints) => {
                let mut pool = self.start(failpoints);
                self.find(&pool);
                pool.wait_for_abort();
            }
            Kill::WhileNodeIsSilent(does) => self.kill_from_outside(does),
            Kill::Again(starts) => {
                let mut pool = self.start(starts[0]);
                self.find(&pool);
                pool.wait_for_abort();
                assert!(!self.in_chain());
                for failpoints in &starts[1..] {
                    (*failpoints).clone_into(&mut self.site.failpoints);
                    run(&self.site).wait_for_abort();
                }
            }
        }
        self.look()
    }

    fn start(&mut self, failpoints: &str) -> Pool {
        failpoints.clone_into(&mut self.site.failpoints);
        Pool::start(&self.site)
    }

    /// A miner finds a block.
    fn find(&mut self, pool: &Pool) {
        let mut miner = RawMiner::join(pool.miners, &format!("{}.lucky", address(1)));
        let tip = self.nodes[0].0.tip();
        let job = miner.wait_for("mining.notify", |job| builds_on(job, &tip));
        self.hash = miner.submit_block(&job);
    }

    fn kill_from_outside(&mut self, does: NodeDoes) {
        let mut pool = self.start("");
        let submit = || "submitblock".to_owned();
        let mut faults = Faults::default();
        match does {
            NodeDoes::NotTakeIt => drop(faults.hold.insert(submit())),
            NodeDoes::TakeIt => drop(faults.hold_answer.insert(submit())),
            NodeDoes::Refuse => drop(faults.fail.insert(submit(), Failure::HttpStatus(503))),
        }
        self.nodes[0].0.set_faults(faults);
        self.find(&pool);
        until("the node is asked, the block journaled", || {
            let asked = self.nodes[0].0.calls("submitblock") > 0;
            (asked && self.in_chain() == (does == NodeDoes::TakeIt) && listed(&pool, &self.hash).is_some())
                .then_some(())
        });
        // Its row can be read, so its bytes are durable: both are one commit.
        pool.kill();
        self.nodes[0].0.set_faults(Faults::default());
    }

    /// A start without failpoints, and what it makes of the block.
    fn look(mut self) -> Found {
        let pool = self.start("");
        let mut miner = RawMiner::join(pool.miners, &address(2));
        miner.job();
        let Some(row) = listed(&pool, &self.hash) else {
            return if self.in_chain() { Found::InChain } else { Found::Lost };
        };
        until("the block is in the chain", || self.in_chain().then_some(()));
        let is_accepted = |row: &Value| ["accepted", "confirmed"].iter().any(|state| row["state"] == *state);
        until("the block is accepted", || listed(&pool, &self.hash).filter(is_accepted));
        until("counted once", || (pool.metric("warppool_blocks_found_total") == 1.0).then_some(()));
        assert_eq!(row["address"], address(1), "{row}");
        Found::Whole
    }

    fn in_chain(&self) -> bool {
        self.nodes[0].0.blocks().iter().any(|block| block.hash == self.hash)
    }
}

/// The block's row as the store has it, as soon as the pool answers.
fn listed(pool: &Pool, hash: &str) -> Option<Value> {
    let page = pool.json_when("/api/blocks", |_| true);
    page["blocks"].as_array().unwrap().iter().find(|row| row["hash"] == hash).cloned()
}

fn row(case: &Case, found: Found) -> String {
    let kill = match case.kill {
        Kill::At(failpoints) | Kill::AtWithTwoNodes(failpoints) => format!("`{failpoints}`"),
        Kill::WhileNodeIsSilent(_) => "`kill -9`".to_owned(),
        Kill::Again(starts) => starts.iter().map(|start| format!("`{start}`")).collect::<Vec<_>>().join(", then "),
    };
    let (chain, list) = match found {
        Found::Whole => ("yes", "yes"),
        Found::InChain => ("yes", "no"),
        Found::Lost => ("**no**", "no"),
    };
    format!("| {} | {kill} | {chain} | {list} |\n", case.step)
}

/// The page holds these rows; with `WARPPOOL_UPDATE_BOOK` set they are written into it.
fn check_page(rows: &str) {
    let head = "| step | killed by | in the chain after the next start | in the pool's list |\n|---|---|---|---|\n";
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(TABLE_BEGIN).unwrap();
    let (_, after) = rest.split_once(TABLE_END).unwrap();
    let expected = format!("{before}{TABLE_BEGIN}{head}{rows}{TABLE_END}{after}");
    if std::env::var_os("WARPPOOL_UPDATE_BOOK").is_some() {
        fs::write(Path::new(PAGE), &expected).unwrap();
    }
    assert!(page == expected || fs::read_to_string(PAGE).unwrap() == expected, "docs/found-block.md:\n{head}{rows}");
}

/// A failpoint that no case comes by is a step that nobody looks at.
#[test]
fn every_failpoint_is_used() {
    let specifications: Vec<&str> = CASES
        .iter()
        .flat_map(|case| match case.kill {
            Kill::At(failpoints) | Kill::AtWithTwoNodes(failpoints) => vec![failpoints],
            Kill::Again(starts) => starts.to_vec(),
            Kill::WhileNodeIsSilent(_) => Vec::new(),
        })
        .collect();
    for name in failpoint::NAMES {
        let is_used =
            specifications.iter().any(|text| text.split(',').any(|item| item.starts_with(&format!("{name}=abort"))));
        assert!(is_used, "{name}");
    }
}
