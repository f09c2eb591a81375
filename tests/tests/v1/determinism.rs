//! Invariant 1: the same inputs give the same outboxes, byte for byte.

use std::time::Duration;
use warppool_systems::sha256d::Backend;
use warppool_tests::pool::{CONFIGURE, Pool, authorize, settings};
use warppool_tests::work::{address, with_bits};

/// `nBits` that one hash in 256 meets.
const BITS: u32 = 0x2000_ffff;

/// A busy quarter of an hour: many miners, floods that are judged on several cores, blocks, hang-ups, tips.
fn life(pool: Pool) -> Vec<String> {
    let mut pool = pool.traced();
    let template = pool.next_tip();
    pool.template(with_bits(template, BITS));
    let conns: Vec<_> = (0..40).map(|_| pool.push_open()).collect();
    for (number, conn) in conns.iter().enumerate() {
        pool.push_line(*conn, CONFIGURE);
        pool.push_line(*conn, r#"{"id":1,"method":"mining.subscribe","params":["bitaxe"]}"#);
        let user = format!("{}.{number}", address(number as u8 % 7));
        pool.push_line(*conn, &authorize(2, &user, if number % 2 == 0 { "d=1e-9" } else { "md=1e-10" }));
    }
    pool.tick();
    for round in 0..16 {
        for (number, conn) in conns.iter().enumerate().filter(|(number, _)| number % 11 != 10 || round < 9) {
            for nonce in 0..8 {
                let share = pool.miner(*conn).search().extranonce2(round).version_bits(0x2000 << nonce).share(nonce);
                let user = format!("{}.{}", address(number as u8 % 7), nonce % 3);
                pool.push_line(*conn, &share.line(u64::from(nonce), &user));
            }
            if number % 11 == 10 && round == 8 {
                pool.push_hang_up(*conn);
            }
        }
        pool.tick();
        pool.advance(Duration::from_secs(29));
        if round % 5 == 4 {
            let template = pool.next_tip();
            pool.template(with_bits(template, BITS));
        }
    }
    assert!(pool.blocks.len() > 5, "{} blocks", pool.blocks.len());
    pool.trace.take().expect("traced")
}

#[test]
fn the_same_inputs_give_the_same_outboxes() {
    let one = life(Pool::new(settings(), 7));
    assert_same(&one, &life(Pool::new(settings(), 7)), "again");
    assert_ne!(one, life(Pool::new(settings(), 8)), "the seed matters");
}

#[test]
fn every_backend_gives_the_same_outboxes() {
    let [scalar, others @ ..] = Backend::available() else { panic!("there is the scalar way") };
    let life_with = |backend: &Backend| life(Pool::new(settings(), 7).hashing_with(*backend));
    let expected = life_with(scalar);
    for backend in others {
        assert_same(&expected, &life_with(backend), backend.name());
    }
}

fn assert_same(expected: &[String], found: &[String], what: &str) {
    assert_eq!(expected.len(), found.len(), "{what}");
    for (tick, (expected, found)) in expected.iter().zip(found).enumerate() {
        assert!(expected == found, "{what}: tick {tick} differs:\n{expected}\n{found}");
    }
}
