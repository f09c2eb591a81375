//! A found block, taken apart by crate `bitcoin`.

use bitcoin::consensus::deserialize;
use bitcoin::{Amount, Block, ScriptBuf};
use std::time::Duration;
use warppool_components::block::BlockState;
use warppool_components::event::PoolEventKind;
use warppool_components::inbox::Command;
use warppool_components::limits::{BLOCKS_KNOWN_MAX, DIFFICULTY_EPOCHS_MAX};
use warppool_components::node::NodeEvent;
use warppool_components::template::Template;
use warppool_components::units::Sats;
use warppool_tests::pool::{CONFIGURE, Pool, authorize, settings};
use warppool_tests::work::{self, COINBASE_VALUE, EASY_BITS, address, cut, script, taproot_address, with_bits};

/// A pool with fee and donation on the easiest network.
fn pool_with(template: impl Fn(Template) -> Template) -> Pool {
    let mut settings = settings();
    settings.payout.fee = Some(cut(&taproot_address(8), 150));
    settings.payout.donation = Some(cut(&address(9), 33));
    let mut pool = Pool::new(settings, 7);
    let next = pool.next_tip();
    pool.template(with_bits(template(next), EASY_BITS));
    pool
}

fn block(pool: &Pool, place: usize) -> Block {
    deserialize(&pool.blocks[place].serialise()).expect("a block that the network can read")
}

/// Defect 1, as far as V1 goes: the header has the bits that the miner rolled.
#[test]
fn defect_01_a_block_of_a_version_rolling_miner_is_whole() {
    let mut pool = pool_with(|template| template);
    let user = format!("{}.rig", taproot_address(1));
    let conn = pool.join_rolling(&user, "d=1e-9");
    let share = pool.miner(conn).search().extranonce2(0xfeed).version_bits(0x00c0_e000).hit();
    assert_eq!(pool.submit(conn, &user, &share), Ok(()));
    let block = block(&pool, 0);
    assert_eq!(block.header.version.to_consensus(), 0x20c0_e000);
    assert_eq!(block.block_hash().to_string(), share.hash);
    assert_eq!(block.header.time, share.ntime);
    assert!(block.check_merkle_root());
    assert!(block.check_witness_commitment());
    assert!(block.header.validate_pow(bitcoin::CompactTarget::from_consensus(EASY_BITS).into()).is_ok());
    assert_eq!(block.bip34_block_height(), Ok(1001));
    assert_eq!(block.txdata.len(), 7);
    assert_eq!(block.header.prev_blockhash.to_string(), work::tip_hash(1).to_string());

    let coinbase = &block.txdata[0];
    assert!(coinbase.is_coinbase());
    assert!(coinbase.input[0].script_sig.len() <= 100);
    let text = coinbase.input[0].script_sig.to_bytes();
    assert!(text.windows(10).any(|part| part == b"/warppool/"));
    let (fee, donation) = (COINBASE_VALUE.0 * 150 / 10_000, COINBASE_VALUE.0 * 33 / 10_000);
    let paid = |address: &str| -> Vec<u64> {
        let script: ScriptBuf = script(address);
        coinbase
            .output
            .iter()
            .filter(|output| output.script_pubkey == script)
            .map(|output| output.value.to_sat())
            .collect()
    };
    assert_eq!(paid(&taproot_address(1)), [COINBASE_VALUE.0 - fee - donation]);
    assert_eq!((paid(&taproot_address(8)), paid(&address(9))), (vec![fee], vec![donation]));
    assert_eq!(coinbase.output.iter().map(|output| output.value).sum::<Amount>(), Amount::from_sat(COINBASE_VALUE.0));
    assert_eq!(coinbase.output.len(), 4);
    let candidate = &pool.blocks[0];
    assert_eq!(
        (candidate.payout, &*candidate.address),
        (Sats(COINBASE_VALUE.0 - fee - donation), &*taproot_address(1))
    );
    assert_eq!((&*candidate.worker_label, candidate.share_rejected), (&*user, false));
}

/// Those who ask for more bits than usual roll bits that the others leave alone.
#[test]
fn a_block_with_bits_of_the_wide_mask_is_whole() {
    let mut pool = pool_with(|template| template);
    let conn = pool.connect();
    let configure = CONFIGURE.replace("ffffffff", "1fffffe0");
    pool.send(conn, &[&configure, r#"{"id":1,"method":"mining.subscribe"}"#, &authorize(2, &address(1), "d=1e-9")]);
    assert_eq!(pool.miner(conn).version_mask, 0x1fff_ffe0);
    let share = pool.miner(conn).search().version_bits(0x1fff_ffe0).hit();
    assert_eq!(pool.submit(conn, &address(1), &share), Ok(()));
    let block = block(&pool, 0);
    assert_eq!(block.header.version.to_consensus(), 0x3fff_ffe0);
    assert_eq!(block.block_hash().to_string(), share.hash);
}

#[test]
fn a_subsidy_only_block_is_whole_too() {
    let mut pool = pool_with(|next| work::subsidy_only(next.id.0, 1, next.received_at));
    let conn = pool.join(&address(1), "d=1e-9");
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, &address(1), &share), Ok(()));
    let block = block(&pool, 0);
    assert!(block.check_merkle_root() && block.check_witness_commitment());
    assert_eq!(block.txdata.len(), 1);
    assert_eq!(
        block.txdata[0].output.iter().map(|output| output.value).sum::<Amount>(),
        Amount::from_sat(5_000_000_000)
    );
}

/// Proxies: whoever submits, the address that was authorized first is paid, because its coinbase was hashed.
#[test]
fn the_first_worker_of_a_connection_is_paid() {
    let mut pool = pool_with(|template| template);
    let conn = pool.join(&address(1), "d=1e-9");
    pool.ask(conn, &authorize(3, &address(2), "x"));
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, &address(2), &share), Ok(()));
    assert_eq!(block(&pool, 0).txdata[0].output[0].script_pubkey, script(&address(1)));
    assert_eq!((&*pool.blocks[0].worker_label, &*pool.blocks[0].address), (&*address(2), &*address(1)));
}

/// Two addresses, one template: each block pays its own miner.
#[test]
fn each_miner_is_paid_by_its_own_block() {
    let mut pool = pool_with(|template| template);
    for number in [1, 2] {
        let conn = pool.join(&address(number), "d=1e-9");
        let share = pool.miner(conn).search().hit();
        assert_eq!(pool.submit(conn, &address(number), &share), Ok(()));
        let block = block(&pool, usize::from(number) - 1);
        assert!(block.check_merkle_root());
        assert_eq!(block.txdata[0].output[0].script_pubkey, script(&address(number)));
    }
}

#[test]
fn a_block_is_counted_when_a_node_has_taken_it() {
    let mut pool = pool_with(|template| template);
    let conn = pool.join(&address(1), "d=1e-9");
    let share = pool.miner(conn).search().hit();
    pool.submit(conn, &address(1), &share).expect("good");
    let hash = pool.blocks[0].hash;
    let found =
        |pool: &Pool| pool.events.iter().filter(|event| matches!(event.kind, PoolEventKind::BlockFound { .. })).count();
    let count = |pool: &mut Pool| {
        pool.advance(std::time::Duration::from_secs(1));
        let snapshot = pool.snapshot.as_ref().expect("published");
        (snapshot.pool.blocks_found, snapshot.workers[0].blocks_found)
    };
    assert_eq!((count(&mut pool), found(&pool)), ((0, 0), 0), "pending is not found");
    for (state, counted) in [
        (BlockState::Accepted, 1),
        (BlockState::Accepted, 1),
        (BlockState::Confirmed(2), 1),
        (BlockState::Orphaned, 1),
        (BlockState::Confirmed(3), 1),
    ] {
        pool.push_node(NodeEvent::Block { hash, state: state.clone() });
        pool.tick();
        assert_eq!(count(&mut pool), (counted, counted as u32), "{state}");
        assert_eq!(pool.snapshot.as_ref().expect("published").blocks[0].state, state);
    }
}

/// The order to stop may come in one inbox with the share of a lifetime.
#[test]
fn a_block_that_comes_with_the_order_to_stop_is_submitted() {
    let mut pool = pool_with(|template| template);
    let conn = pool.join(&address(1), "d=1e-9");
    let share = pool.miner(conn).search().hit();
    pool.push_line(conn, &share.line(9, &address(1)));
    pool.command(Command::Shutdown);
    assert_eq!(pool.blocks.len(), 1);
    assert_eq!(block(&pool, 0).block_hash().to_string(), share.hash);
    assert!(pool.shares.iter().any(|row| row.reject.is_none()), "credited and told to the store");
    assert!(pool.closed(conn).is_some());
}

/// More changes of difficulty than a channel remembers: what the job's share was worth is forgotten, not that it is a block.
#[test]
fn a_block_on_a_job_whose_difficulty_is_forgotten_is_submitted() {
    let mut pool = pool_with(|template| template);
    let user = address(1);
    let conn = pool.join(&user, "x");
    let first = pool.miner(conn).job().id.clone();
    for change in 1..=DIFFICULTY_EPOCHS_MAX + 1 {
        let password = if change % 2 == 0 { "d=1" } else { "d=4" };
        pool.send(conn, &[&authorize(7, &user, password)]);
        pool.advance(Duration::from_secs(31));
        pool.take(conn);
    }
    let block = pool.miner(conn).search_job(&first).hit();
    let (code, _) = pool.submit(conn, &user, &block).expect_err("no longer a share");
    assert_eq!(code, 21);
    assert_eq!(pool.blocks.len(), 1);
    assert_eq!(pool.blocks[0].hash.to_string(), block.hash);
}

/// On a network where every share is a block the pool does not grow with them; the latest are known.
#[test]
fn blocks_that_are_known_are_bounded() {
    let mut pool = pool_with(|template| template);
    let user = address(1);
    let conn = pool.join(&user, "d=1e-9");
    let shares = pool.miner(conn).search().hits(BLOCKS_KNOWN_MAX + 10);
    for share in &shares {
        pool.push_line(conn, &share.line(5, &user));
        if pool.blocks.len() % 64 == 0 {
            pool.tick();
        }
    }
    pool.tick();
    assert_eq!(pool.blocks.len(), shares.len());
    let (oldest, newest) = (pool.blocks[0].hash, pool.blocks[shares.len() - 1].hash);
    for (hash, is_known) in [(oldest, false), (newest, true)] {
        pool.push_node(NodeEvent::Block { hash, state: BlockState::Accepted });
        pool.tick();
        let is_told = pool
            .events
            .iter()
            .any(|event| matches!(&event.kind, PoolEventKind::BlockFound { hash: told, .. } if *told == hash));
        assert_eq!(is_told, is_known);
    }
}

/// Who is paid changes by a reload: with the next job for miners that are connected, and not for work they have.
#[test]
fn a_reload_pays_another_address_from_the_next_job_on() {
    let mut settings = settings();
    settings.payout.pay_username_address = false;
    settings.payout.fallback = Some(cut(&address(1), 0).payee);
    let mut pool = Pool::new(settings.clone(), 7);
    let next = with_bits(pool.next_tip(), EASY_BITS);
    pool.template(next);
    let conn = pool.join("rig", "d=1e-9");
    let early = pool.connect();
    pool.send(early, &[&authorize(1, "other", "d=1e-9")]);

    settings.payout.fallback = Some(cut(&address(2), 0).payee);
    pool.command(Command::Reload(Box::new(settings.clone())));
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, "rig", &share), Ok(()), "work of before is good");
    pool.send(early, &[r#"{"id":2,"method":"mining.subscribe"}"#]);
    let share = pool.miner(early).search().hit();
    assert_eq!(pool.submit(early, "other", &share), Ok(()), "its first job came after the reload");
    let old_job = pool.miner(conn).job().id.clone();
    pool.advance(std::time::Duration::from_secs(30));
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, "rig", &share), Ok(()));
    let late = pool.miner(conn).search_job(&old_job).extranonce2(5).hit();
    assert_eq!(pool.submit(conn, "rig", &late), Ok(()));
    let paid = |place: usize| block(&pool, place).txdata[0].output[0].script_pubkey.clone();
    let (before, after) = (script(&address(1)), script(&address(2)));
    assert_eq!([paid(0), paid(1), paid(2), paid(3)], [before.clone(), after.clone(), after, before]);
    assert!((0..4).all(|place| block(&pool, place).check_merkle_root()));
}
