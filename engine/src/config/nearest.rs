//! The known name that a misspelt one most likely meant.

/// The candidate with the fewest edits from `name`, if it is near enough to be a likely slip: at most a third of
/// the letters, at least two. Edits are insertions, deletions, replacements and swaps of neighbours.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(2);
    candidates
        .into_iter()
        // Most are far away: a look at the letters is enough to see it.
        .filter(|candidate| letters_apart(name, candidate) <= allowed)
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters that the one has and the other lacks, wherever they stand: there are at least as many edits.
fn letters_apart(left: &str, right: &str) -> usize {
    // Letters that share a place make it smaller.
    let mut surplus = [0_i32; 128];
    left.chars().for_each(|letter| surplus[letter as usize % 128] += 1);
    right.chars().for_each(|letter| surplus[letter as usize % 128] -= 1);
    let more: i32 = surplus.iter().filter(|count| **count > 0).sum();
    let less: i32 = surplus.iter().filter(|count| **count < 0).sum();
    more.max(-less).unsigned_abs() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_the_letters_never_hides_a_near_name() {
        let names = ["", "abc", "ab", "acb", "kitten", "sitting", "pool_listen", "pöol_listen", "a\u{80}", "aa"];
        for (left, right) in names.iter().flat_map(|left| names.map(|right| (*left, right))) {
            let (apart, distance) = (letters_apart(left, right), strsim::osa_distance(left, right));
            assert!(apart <= distance, "{left} {right}: {apart} {distance}");
        }
        assert_eq!(letters_apart("kitten", "sitting"), 3);
        assert_eq!(letters_apart("abc", "acb"), 0);
    }

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["pool_listen", "status_listen", "cookie_secure"];
        assert_eq!(nearest("pool_lisen", known), Some("pool_listen"));
        assert_eq!(nearest("pool_lsiten", known), Some("pool_listen"));
        assert_eq!(nearest("statuslisten", known), Some("status_listen"));
        assert_eq!(nearest("banana", known), None);
    }

    #[test]
    fn of_several_near_ones_the_nearest_is_meant() {
        assert_eq!(nearest("rpc_pas", ["rpc_user", "rpc_port", "rpc_pass"]), Some("rpc_pass"));
        assert_eq!(nearest("ab", ["abc", "abd"]), Some("abc"), "the first of equals");
    }
}
