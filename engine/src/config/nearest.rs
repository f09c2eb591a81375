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
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `left` into `right` (optimal string
/// alignment), by dynamic programming over three rows.
fn edit_distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before_last = vec![0; right.len() + 1];
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, letter) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != other);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            let swapped = row > 0 && column > 0 && *letter == right[column - 1] && left[row - 1] == *other;
            if swapped {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[right.len()]
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
            assert_eq!(edit_distance(left, right), distance, "{left} {right}");
            assert_eq!(edit_distance(right, left), distance, "{right} {left}");
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
