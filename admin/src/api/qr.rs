//! `/api/qr`: an address for miners as a QR code, module by module.
//!
//! The page knows under which name it reached the pool, so it names the address; who draws it is the page. Nothing but such
//! addresses is made into a code: this is no service for others.

use crate::problem::{Problem, shortened};
use qrcodegen::{QrCode, QrCodeEcc};
use warppool_components::limits::QR_TEXT_BYTES_MAX;

const SCHEMES: [&str; 4] = ["stratum+tcp://", "stratum+ssl://", "stratum+tls://", "stratum2+tcp://"];

/// A code.
#[derive(serde::Serialize)]
pub(crate) struct QrJson<'a> {
    text: &'a str,
    size: usize,
    rows: Vec<String>,
}

/// The code of a text.
///
/// # Errors
/// It is no address for miners, or a very long one.
pub(crate) fn code(text: Option<&str>) -> Result<QrJson<'_>, Problem> {
    let text = text.ok_or_else(|| Problem::bad_request("text is missing: the address that the code is to hold."))?;
    if !SCHEMES.iter().any(|scheme| text.starts_with(scheme)) || text.len() > QR_TEXT_BYTES_MAX {
        return Err(Problem::bad_request(format!(
            "text is \"{}\": an address for miners of at most {QR_TEXT_BYTES_MAX} bytes, such as stratum2+tcp://HOST:PORT/KEY.",
            shortened(text)
        )));
    }
    let code = QrCode::encode_text(text, QrCodeEcc::Low);
    let code = code.map_err(|_| Problem::bad_request("text is too long for a QR code."))?;
    let row = |y| (0..code.size()).map(|x| if code.get_module(x, y) { '1' } else { '0' }).collect();
    let rows: Vec<String> = (0..code.size()).map(row).collect();
    Ok(QrJson { text, size: rows.len(), rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_three_corners_and_nothing_but_addresses_of_miners_gets_one() {
        let text = "stratum2+tcp://192.0.2.1:3333/9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";
        let Ok(code) = code(Some(text)) else { panic!("it is short") };
        let corner =
            |x: usize, y: usize| -> Vec<&str> { code.rows[y..y + 7].iter().map(|row| &row[x..x + 7]).collect() };
        let far = code.size - 7;
        let expected = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"];
        for (x, y) in [(0, 0), (far, 0), (0, far)] {
            assert_eq!(corner(x, y), expected);
        }
        let long = format!("stratum+tcp://{}:3333", "x".repeat(QR_TEXT_BYTES_MAX));
        for text in [None, Some("https://example.com"), Some(long.as_str())] {
            assert!(super::code(text).is_err(), "{text:?}");
        }
    }
}
