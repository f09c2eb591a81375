//! Raw shares packed into values of up to 1000 rows: one key for many rows is what makes them cheap.
//!
//! All rows of a chunk lie in one five-minute bucket, whose start is in the key.

use super::error::Malformed;
use super::tables::Level;
use warppool_components::limits::SHARE_ROWS_PER_CHUNK_MAX;
use warppool_components::record::ShareRow;
use warppool_components::units::UnixTime;
use warppool_components::worker::WorkerId;

const VERSION: u8 = 2;
const ROW_BYTES: usize = 25;
/// Before it, every refused share had a row of its own.
const VERSION_OF_SINGLE_ROWS: u8 = 1;
const CREDITED: u8 = 0xff;

/// The longest run of `rows` from its start that fits into one chunk, with the start of its bucket.
pub(super) fn first_run(rows: &[ShareRow]) -> Option<(u64, &[ShareRow])> {
    let bucket = bucket(rows.first()?);
    let run = rows.iter().take(SHARE_ROWS_PER_CHUNK_MAX).take_while(|row| self::bucket(row) == bucket).count();
    Some((bucket, &rows[..run]))
}

/// Start of the five-minute bucket of a share.
pub(super) fn bucket(row: &ShareRow) -> u64 {
    Level::FiveMinutes.start(row.at.seconds())
}

/// Packs `rows`, which all lie in `bucket`, into `value`, which is overwritten.
pub(super) fn pack(bucket: u64, rows: &[ShareRow], value: &mut Vec<u8>) {
    value.clear();
    value.reserve(1 + rows.len() * ROW_BYTES);
    value.push(VERSION);
    for row in rows {
        // At most 300,000: the row lies in the bucket.
        let offset_ms = (row.at.millis() - bucket * 1000) as u32;
        let mut packed = [0; ROW_BYTES];
        packed[..4].copy_from_slice(&row.worker.0.to_le_bytes());
        packed[4..8].copy_from_slice(&offset_ms.to_le_bytes());
        let middle = if row.reject.is_some() { u64::from(row.count) } else { row.difficulty.to_bits() };
        packed[8..16].copy_from_slice(&middle.to_le_bytes());
        packed[16..24].copy_from_slice(&row.reached.to_le_bytes());
        packed[24] = row.reject.unwrap_or(CREDITED);
        value.extend_from_slice(&packed);
    }
}

/// The rows of a chunk of `bucket`.
pub(super) fn rows(bucket: u64, value: &[u8]) -> Result<impl ExactSizeIterator<Item = ShareRow> + '_, Malformed> {
    let (&version, packed) = value.split_first().ok_or(Malformed::Length(0))?;
    if version != VERSION && version != VERSION_OF_SINGLE_ROWS {
        return Err(Malformed::Version(version));
    }
    let (packed, rest) = packed.as_chunks::<ROW_BYTES>();
    if !rest.is_empty() {
        return Err(Malformed::Length(value.len()));
    }
    Ok(packed.iter().map(move |row| unpack(bucket, version, row)))
}

fn unpack(bucket: u64, version: u8, packed: &[u8; ROW_BYTES]) -> ShareRow {
    let (words, numbers) = (packed[..8].as_chunks::<4>().0, packed[8..24].as_chunks::<8>().0);
    let offset_ms = u64::from(u32::from_le_bytes(words[1]));
    let reject = (packed[24] != CREDITED).then_some(packed[24]);
    let middle = u64::from_le_bytes(numbers[0]);
    let is_counted = reject.is_some() && version != VERSION_OF_SINGLE_ROWS;
    ShareRow {
        worker: WorkerId(u32::from_le_bytes(words[0])),
        // A damaged key may name any bucket.
        at: UnixTime::from_millis(bucket.saturating_mul(1000).saturating_add(offset_ms)),
        count: if is_counted { u32::try_from(middle).unwrap_or(u32::MAX) } else { 1 },
        difficulty: if is_counted { 0.0 } else { f64::from_bits(middle) },
        reached: f64::from_le_bytes(numbers[1]),
        reject,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::share_row;
    use super::*;

    #[test]
    fn rows_come_back_as_they_went_in() {
        let mut sent: Vec<_> = (0..SHARE_ROWS_PER_CHUNK_MAX as u64).map(|n| share_row(n as u32, 600_000 + n)).collect();
        sent[3] = ShareRow { reject: Some(0), count: 77, difficulty: 0.0, ..sent[3] };
        sent[4].at = UnixTime::from_millis(899_999);
        let mut value = Vec::new();
        pack(600, &sent, &mut value);
        assert_eq!(value.len(), 1 + 25 * sent.len());
        assert!(rows(600, &value).expect("a chunk").eq(sent));
    }

    #[test]
    fn a_refused_share_of_the_first_version_is_one() {
        let mut value = Vec::new();
        pack(0, &[share_row(1, 1)], &mut value);
        (value[0], value[25]) = (VERSION_OF_SINGLE_ROWS, 3);
        let expected = ShareRow { reject: Some(3), ..share_row(1, 1) };
        assert!(rows(0, &value).expect("a chunk").eq([expected]));
    }

    #[test]
    fn a_run_ends_with_its_bucket_and_at_its_size() {
        let crossing = [share_row(1, 299_999), share_row(1, 300_000), share_row(1, 299_998)];
        assert_eq!(first_run(&crossing).map(|(bucket, run)| (bucket, run.len())), Some((0, 1)));
        let many = vec![share_row(1, 300_000); SHARE_ROWS_PER_CHUNK_MAX + 1];
        assert_eq!(first_run(&many).map(|(bucket, run)| (bucket, run.len())), Some((300, SHARE_ROWS_PER_CHUNK_MAX)));
        assert!(first_run(&[]).is_none());
    }

    #[test]
    fn rows_of_a_bucket_beyond_all_time_are_read() {
        let mut value = Vec::new();
        pack(0, &[share_row(1, 1)], &mut value);
        let latest = UnixTime::from_millis(u64::MAX);
        assert!(rows(u64::MAX, &value).expect("a chunk").all(|row| row.at == latest));
    }

    #[test]
    fn damaged_chunks_are_refused() {
        let mut value = Vec::new();
        pack(0, &[share_row(1, 1)], &mut value);
        assert_eq!(rows(0, &[]).err(), Some(Malformed::Length(0)));
        assert_eq!(rows(0, &value[..25]).err(), Some(Malformed::Length(25)));
        value[0] = 3;
        assert_eq!(rows(0, &value).err(), Some(Malformed::Version(3)));
    }
}
