//! The known name that a misspelt one most likely meant.

/// The candidate with the fewest edits from `name`, if it is near enough to be a likely slip: at most a third of
/// the letters, at least two.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = name.chars().count();
    let allowed = (letters / 3).max(2);
    // Each letter more or less is an edit, so most candidates need no closer look.
    let is_near = |candidate: &&str| candidate.chars().count().abs_diff(letters) <= allowed;
    candidates
        .into_iter()
        .filter(is_near)
        .filter_map(|candidate| Some((edit_distance(name, candidate, allowed)?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `left` into `right` (optimal string
/// alignment), by dynamic programming over three rows. `None` when they are more than `allowed`, which shows after few
/// letters as a rule: a file of strange names is compared with every known one.
fn edit_distance(left: &str, right: &str, allowed: usize) -> Option<usize> {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before_last = vec![0; right.len() + 1];
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut current = vec![0; right.len() + 1];
    for (row, letter) in left.iter().enumerate() {
        current[0] = row + 1;
        for (column, other) in right.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != other);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            let swapped = row > 0 && column > 0 && *letter == right[column - 1] && left[row - 1] == *other;
            if swapped {
                best = best.min(before_last[column - 1] + 1);
            }
            current[column + 1] = best;
        }
        // A swap goes back two rows; no other way leads to a smaller number than the smallest of a row.
        if current.iter().chain(&last).all(|distance| *distance > allowed) {
            return None;
        }
        (before_last, last, current) = (last, current, before_last);
    }
    Some(last[right.len()]).filter(|distance| *distance <= allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_slips() {
        for (left, right, distance) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "ab", 1),
            ("abc", "acb", 1),
            ("kitten", "sitting", 3),
            ("", "xy", 2),
        ] {
            for (left, right) in [(left, right), (right, left)] {
                assert_eq!(edit_distance(left, right, 9), Some(distance), "{left} {right}");
                assert_eq!(edit_distance(left, right, distance), Some(distance), "{left} {right}");
                let too_few = distance.checked_sub(1).and_then(|allowed| edit_distance(left, right, allowed));
                assert_eq!(too_few, None, "{left} {right}");
            }
        }
    }

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["pool_listen", "status_listen", "cookie_secure"];
        assert_eq!(nearest("pool_lisen", known), Some("pool_listen"));
        assert_eq!(nearest("statuslisten", known), Some("status_listen"));
        assert_eq!(nearest("banana", known), None);
    }
}
