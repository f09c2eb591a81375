//! QR codes in a terminal, two rows of modules in a line of text.

use qrcodegen::{QrCode, QrCodeEcc};

/// Modules of nothing that a reader wants around a code; half of the norm is enough on a screen.
const MARGIN: i32 = 2;

/// The lines of a code for `text`, bright on dark as terminals mostly are; `None` when it is too long for one.
pub(super) fn lines(text: &str) -> Option<Vec<String>> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let range = -MARGIN..code.size() + MARGIN;
    // What is bright in print is what is drawn here.
    let is_drawn = |x, y| range.contains(&y) && !code.get_module(x, y);
    let rows = range.clone().step_by(2);
    Some(
        rows.map(|y| {
            let pair = |x| match (is_drawn(x, y), is_drawn(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            };
            range.clone().map(pair).collect()
        })
        .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_square_and_has_its_three_corners() {
        let lines =
            lines("stratum2+tcp://192.0.2.1:3333/9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh").expect("short");
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width), "{lines:?}");
        assert_eq!(width.div_ceil(2), lines.len());
        // The outer and inner frame of a corner: seven dark modules, then one dark, five bright, one dark.
        let corner: String = lines[1].chars().skip(MARGIN as usize).take(8).collect();
        assert_eq!(corner, " ▄▄▄▄▄ █");
        let right: String = lines[1].chars().skip(width - 10).take(8).collect();
        assert_eq!(right, "█ ▄▄▄▄▄ ");
        assert!(super::lines(&"x".repeat(5000)).is_none());
    }
}
