//! Who is paid: addresses of every type, what operators may configure, and what a coinbase must then say.

use crate::coins::Lock;
use crate::random::Random;
use bitcoin::{Address, ScriptBuf, WitnessProgram, WitnessVersion};
use warppool_components::settings::{Cut, Payee, Settings};
use warppool_tests::pool;

/// Longest tag that an operator may configure, in bytes.
pub const TAG_BYTES_MAX: u64 = 64;

/// Types of addresses.
pub const ADDRESS_TYPES: [&str; 7] = ["P2PKH", "P2SH", "P2WPKH", "P2WSH", "P2TR", "P2A", "a future witness version"];

/// Who is paid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// The address.
    pub address: String,
    /// Its script.
    pub script: ScriptBuf,
    /// Its type, a place in [`ADDRESS_TYPES`].
    pub address_type: usize,
}

impl Person {
    /// Somebody. One in three can be robbed by anybody, which is where later transactions get their coins from.
    pub fn any(random: &mut Random) -> Self {
        let script = loop {
            let script = if random.one_in(3) { random.pick(&Lock::ALL).script() } else { script(random) };
            if script != Lock::Bare.script() {
                break script;
            }
        };
        Self::of(script)
    }

    /// The one with this script.
    pub fn of(script: ScriptBuf) -> Self {
        let address = Address::from_script(&script, bitcoin::Network::Regtest).expect("a script with an address");
        Self { address: address.to_string(), address_type: address_type(&script), script }
    }

    /// The same as the settings name it.
    pub fn payee(&self) -> Payee {
        Payee { address: self.address.as_str().into(), script: self.script.as_bytes().into() }
    }
}

fn address_type(script: &ScriptBuf) -> usize {
    let bytes = script.as_bytes();
    match bytes {
        _ if script.is_p2pkh() => 0,
        _ if script.is_p2sh() => 1,
        _ if script.is_p2wpkh() => 2,
        _ if script.is_p2wsh() => 3,
        _ if script.is_p2tr() => 4,
        [0x51, 2, 0x4e, 0x73] => 5,
        _ => 6,
    }
}

/// A script of any type that has an address; what it hashes is nobody's.
pub fn script(random: &mut Random) -> ScriptBuf {
    let witness = |version: u8, program: Vec<u8>| {
        let version = WitnessVersion::try_from(version).expect("a version up to 16");
        ScriptBuf::new_witness_program(&WitnessProgram::new(version, &program).expect("a program of a good size"))
    };
    match random.between(0, 6) {
        0 => [&[0x76, 0xa9, 20][..], &random.bytes(20), &[0x88, 0xac]].concat().into(),
        1 => [&[0xa9, 20][..], &random.bytes(20), &[0x87]].concat().into(),
        2 => witness(0, random.bytes(20)),
        3 => witness(0, random.bytes(32)),
        4 => witness(1, random.bytes(32)),
        5 => Lock::Anchor.script(),
        _ => {
            let size = random.pick(&[2, 3, 20, 32, 39, 40]);
            witness(random.between(2, 16) as u8, random.bytes(size))
        }
    }
}

/// What an operator may configure: a tag of any length, fee and donation from nothing to 99 percent together.
pub fn settings(random: &mut Random) -> Settings {
    let mut settings = pool::settings();
    settings.pool_tag = tag(random);
    let (fee, donation) = random.pick(&[
        (0, 0),
        (0, 0),
        (150, 0),
        (0, 33),
        (1, 1),
        (100, 50),
        (9900, 0),
        (0, 9900),
        (4950, 4950),
        (3333, 6567),
        (u32::MAX, u32::MAX),
    ]);
    let (fee, donation) = if fee == u32::MAX {
        let fee = random.between(0, 9900) as u32;
        (fee, random.between(0, u64::from(9900 - fee)) as u32)
    } else {
        (fee, donation)
    };
    let mut cut = |basis_points| (basis_points > 0).then(|| Cut { payee: Person::any(random).payee(), basis_points });
    settings.payout.fee = cut(fee);
    settings.payout.donation = cut(donation);
    settings.payout.pay_username_address = !random.one_in(5);
    if !settings.payout.pay_username_address {
        settings.payout.fallback = Some(Person::any(random).payee());
    }
    settings
}

/// Text of 0 to 64 bytes; one in four is not ASCII.
fn tag(random: &mut Random) -> String {
    let size = random.between(0, TAG_BYTES_MAX) as usize;
    let letters: Vec<char> = if random.one_in(4) { "aß€🪙".chars() } else { "abcXYZ 0123-_.!".chars() }.collect();
    let mut tag = String::new();
    loop {
        let letter = random.pick(&letters);
        if tag.len() + letter.len_utf8() > size {
            return tag;
        }
        tag.push(letter);
    }
}

/// What the coinbase must pay, by the operator's words alone: fee and donation rounded down, the miner all that is left.
/// Outputs of nothing are left out.
pub fn payments(settings: &Settings, miner: &ScriptBuf, sats: u64) -> Vec<(ScriptBuf, u64)> {
    let mut payments = Vec::new();
    let mut left = sats;
    for cut in [&settings.payout.fee, &settings.payout.donation].into_iter().flatten() {
        let part = (u128::from(sats) * u128::from(cut.basis_points) / 10_000) as u64;
        left -= part;
        payments.push((ScriptBuf::from_bytes(cut.payee.script.to_vec()), part));
    }
    payments.push((miner.clone(), left));
    payments.retain(|(_, part)| *part > 0);
    payments.sort();
    payments
}
