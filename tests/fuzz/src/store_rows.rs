//! Rows of the store: whatever bytes a value holds, it is read or refused, and what is read is written back as the same
//! row, and as the same bytes where the bytes are those that the store writes.
//!
//! Input: a byte that chooses the kind of row, then the value; for shares eight bytes of their bucket stand before it.

use crate::bytes::Bytes;
use warppool_components::units::Hash256;
use warppool_io::store::row_bytes;

/// Runs one input.
pub fn check(data: &[u8]) {
    let mut bytes = Bytes(data);
    match bytes.byte() % 5 {
        0 => check_worker(bytes.rest()),
        1 => check_block(bytes.rest()),
        2 => check_totals(bytes.rest()),
        3 => {
            let bucket = bytes.number();
            check_shares(bucket, bytes.rest());
        }
        _ => check_sum(bytes.rest()),
    }
}

/// Compares bytes, because a number that is none is not equal to itself.
fn same_again<Row, E: std::fmt::Debug>(
    row: &Row,
    encode: impl Fn(&Row) -> Vec<u8>,
    decode: impl Fn(&[u8]) -> Result<Row, E>,
) -> Vec<u8> {
    let written = encode(row);
    let again = decode(&written).expect("what was written is read");
    assert_eq!(encode(&again), written, "a row changes by being written and read");
    written
}

fn check_worker(value: &[u8]) {
    let Ok(row) = row_bytes::decode_worker(7, value) else { return };
    let encode = |row: &_| row_bytes::encode_worker(row).expect("a row that was read can be written");
    let written = same_again(&row, encode, |value| row_bytes::decode_worker(7, value));
    // A shorter list of causes of rejection is filled up, a longer text cut.
    if written.len() == value.len() {
        assert_eq!(written, value);
    }
}

fn check_block(value: &[u8]) {
    let key = (840_000, Hash256::from_internal([3; 32]));
    let Ok(row) = row_bytes::decode_block(key.0, key.1, value) else { return };
    let encode = |(row, accepted): &(_, _)| row_bytes::encode_block(row, *accepted).expect("can be written");
    let written = same_again(&row, encode, |value| row_bytes::decode_block(key.0, key.1, value));
    // Confirmations and the reason belong to one state each, and are not kept in others.
    let is_own = (value[1] == 2 || value[2..6] == [0; 4]) && (value[1] == 4 || value[6..14] == [0; 8]);
    if is_own && written.len() == value.len() {
        assert_eq!(written, value);
    }
}

fn check_totals(value: &[u8]) {
    let Ok(row) = row_bytes::decode_pool_totals(value) else { return };
    let encode = |row: &_| row_bytes::encode_pool_totals(row).expect("a row that was read can be written");
    let written = same_again(&row, encode, row_bytes::decode_pool_totals);
    if written.len() == value.len() {
        assert_eq!(written, value);
    }
}

fn check_shares(bucket: u64, value: &[u8]) {
    let Ok(rows) = row_bytes::decode_shares(bucket, value) else { return };
    assert_eq!(rows.len(), (value.len() - 1) / 25);
    let is_regular = bucket.is_multiple_of(300)
        && rows.iter().all(|row| row_bytes::bucket_of(row) == bucket)
        && value[1..].chunks(25).all(|row| row[24] == 0xff || row[12..16] == [0; 4]);
    if is_regular && value[0] == 2 {
        assert_eq!(row_bytes::encode_shares(bucket, &rows), value);
    }
}

fn check_sum(value: &[u8]) {
    if let Ok(again) = row_bytes::sum_written_again(value) {
        assert_eq!(again, value);
    }
}
