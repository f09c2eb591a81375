//! The judge itself: it works with an honest pool of the reference project's parts, in the clear and behind their handshake,
//! and it says so when a pool breaks a rule.

#![forbid(unsafe_code)]

mod pool;
mod says;
mod violations;

use bitcoin::Target;
use pool::HonestPool;
use std::panic::{AssertUnwindSafe, catch_unwind};
use warppool_reference::client::any_target;
use warppool_reference::secured::authority_key;
use warppool_reference::{ChannelKind, Client, Miner, Secured};

/// A client that is set up, and the pool at its other end.
fn set_up() -> (Client, HonestPool) {
    let (mut client, mut pool) = (Client::default(), HonestPool::default());
    let setup = client.setup(0);
    client.hear(&pool.answer(&setup));
    assert_eq!(client.is_set_up(), Ok(true));
    (client, pool)
}

#[test]
fn both_kinds_of_channels_find_shares_with_an_honest_pool() {
    let (mut client, mut pool) = set_up();
    let (standard, open_standard) = client.open_standard("somebody", 1e6, any_target());
    let (extended, open_extended) = client.open_extended("somebody.else", 1e6, any_target(), 8);
    for (request, open, kind) in
        [(standard, open_standard, ChannelKind::Standard), (extended, open_extended, ChannelKind::Extended(8))]
    {
        client.hear(&pool.answer(&open));
        client.check_whole();
        let channel = client.opened(request).expect("an answer").expect("a channel");
        assert_eq!(client.channel(channel).kind, kind);
        for nonce in [0, 1_000_000] {
            let share = client.channel(channel).search().from_nonce(nonce).hit();
            let (sequence, submit) = client.submit(&share);
            client.hear(&pool.answer(&submit));
            assert_eq!(client.verdict(channel, sequence), Some(Ok(())));
        }
        assert_eq!(client.channel(channel).accepted, 2);
    }
}

#[test]
fn the_handshake_of_the_reference_project_leads_to_the_same() {
    let (address, authority) = pool::listen();
    let mut miner = Miner::connect(address, authority, 0);
    for channel in [miner.open_standard("somebody").expect("opened"), miner.open_extended("somebody").expect("opened")]
    {
        let share = miner.channel(channel).search().hit();
        assert_eq!(miner.submit(&share), Ok(()));
    }
    let other = [7; 32];
    let refused = Secured::connect(address, other).err().expect("another authority");
    assert!(refused.contains("InvalidCertificate"), "{refused}");
}

/// A miner may ask again before it has heard; only what the pool has answered last holds then.
#[test]
fn a_maximum_target_holds_from_the_answer_that_belongs_to_it() {
    let (mut client, _) = set_up();
    let (_, _open) = client.open_standard("somebody", 1e6, any_target());
    client.hear(&says::standard_opened(1, 5, b"a", Target::MAX));
    let _easy = client.update(5, 1e6, any_target());
    let _hard = client.update(5, 1e6, Target::MAX);
    client.hear(&says::target(5, Target::MAX));
    client.hear(&says::target(5, any_target()));
    client.hear(&says::target(5, Target::MAX));
    let too_easy = catch_unwind(AssertUnwindSafe(|| client.hear(&says::target(5, any_target()))));
    assert!(too_easy.is_err(), "both are answered");
}

#[test]
fn the_specification_s_own_key_is_read() {
    let key = authority_key("9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh");
    let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(text, "76637000979c1c11af0c300bcd8c7fe48610fce9b9c11e3daee35ae0b08a7455");
}

/// The first real block with a transaction beside its coinbase is number 170.
#[test]
fn a_header_and_a_root_are_those_of_bitcoin() {
    let (mut client, _) = set_up();
    let (_, _open) = client.open_standard("somebody", 1e6, any_target());
    client.hear(&says::standard_opened(1, 5, b"a", Target::MAX));
    let root = "7dac2c5666815c17a3b36427de37bb9d2e2c5ccec3f8633eb91a4205cb4c10ff";
    let previous = "000000002a22cfee1f2c846adbd12b3e183d4f97683f85dad08a79780a84bd55";
    client.hear(&says::job_of(5, 1, None, 1, says::internal(root)));
    client.hear(&says::tip_of(5, 1, says::internal(previous), 1_231_731_025, 0x1d00_ffff));
    let share = client.channel(5).search().from_nonce(1_889_418_792).block();
    assert_eq!(share.nonce, 1_889_418_792);
    assert_eq!(share.hash, "00000000d1145790a8694403d4063f323d499e655c83426834d4ce2f8dd4a2ee");
}
