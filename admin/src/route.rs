//! The table of routes, and what may have been meant by a path that is not in it.

/// What answers a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Endpoint {
    Health,
    Ready,
    Metrics,
    WorkerMetrics,
    Overview,
    Workers,
    Worker,
    WorkerHistory,
    Hashrate,
    Blocks,
    CurrentJob,
    Qr,
    Events,
    OpenApi,
    PublicPoolInfo,
    PublicPoolPool,
    PublicPoolNetwork,
    PublicPoolClient,
    PublicPoolWorker,
    CkpoolUser,
    CkpoolStatus,
}

/// One route. All are read with `GET` or `HEAD`.
#[derive(Debug)]
pub(crate) struct Route {
    /// Its path; a segment in braces stands for any text.
    pub(crate) pattern: &'static str,
    /// What answers.
    pub(crate) endpoint: Endpoint,
    /// Whether it is answered without login even when reading is restricted.
    pub(crate) open: bool,
}

/// All routes. Fixed segments come before braces where both would fit.
pub(crate) const ROUTES: &[Route] = &[
    open("/healthz", Endpoint::Health),
    open("/readyz", Endpoint::Ready),
    open("/metrics", Endpoint::Metrics),
    private("/metrics/workers", Endpoint::WorkerMetrics),
    private("/api/overview", Endpoint::Overview),
    private("/api/workers", Endpoint::Workers),
    private("/api/workers/{name}", Endpoint::Worker),
    private("/api/workers/{name}/history", Endpoint::WorkerHistory),
    private("/api/hashrate", Endpoint::Hashrate),
    private("/api/blocks", Endpoint::Blocks),
    private("/api/jobs/current", Endpoint::CurrentJob),
    private("/api/qr", Endpoint::Qr),
    private("/api/events", Endpoint::Events),
    open("/api/openapi.json", Endpoint::OpenApi),
    private("/api/info", Endpoint::PublicPoolInfo),
    private("/api/pool", Endpoint::PublicPoolPool),
    private("/api/network", Endpoint::PublicPoolNetwork),
    private("/api/client/{address}", Endpoint::PublicPoolClient),
    private("/api/client/{address}/{worker}", Endpoint::PublicPoolWorker),
    private("/users/{address}", Endpoint::CkpoolUser),
    private("/pool/pool.status", Endpoint::CkpoolStatus),
];

const fn open(pattern: &'static str, endpoint: Endpoint) -> Route {
    Route { pattern, endpoint, open: true }
}

const fn private(pattern: &'static str, endpoint: Endpoint) -> Route {
    Route { pattern, endpoint, open: false }
}

/// The route of a path, with the texts that stand for its braces.
pub(crate) fn find(segments: &[String]) -> Option<(&'static Route, Vec<&str>)> {
    ROUTES.iter().find_map(|route| captures(route.pattern, segments).map(|captures| (route, captures)))
}

/// Whether a path belongs to login or administration.
pub(crate) fn is_administration(segments: &[String]) -> bool {
    matches!(segments, [api, area, ..] if api == "api" && (area == "auth" || area == "admin"))
}

fn captures<'a>(pattern: &str, segments: &'a [String]) -> Option<Vec<&'a str>> {
    let expected = pattern.trim_start_matches('/').split('/');
    if expected.clone().count() != segments.len() {
        return None;
    }
    let mut captures = Vec::new();
    for (expected, segment) in expected.zip(segments) {
        if expected.starts_with('{') && !segment.is_empty() {
            captures.push(segment.as_str());
        } else if expected != segment {
            return None;
        }
    }
    Some(captures)
}

/// Patterns that look like a path, nearest first, three at most.
pub(crate) fn near(path: &str) -> Vec<&'static str> {
    const BYTES_COMPARED_MAX: usize = 64;
    let path: Vec<u8> = path.bytes().take(BYTES_COMPARED_MAX).collect();
    let mut found: Vec<(usize, &'static str)> = ROUTES
        .iter()
        .map(|route| (distance(&path, route.pattern.as_bytes()), route.pattern))
        .filter(|(distance, pattern)| *distance <= pattern.len() / 3)
        .collect();
    found.sort_unstable();
    found.into_iter().take(3).map(|(_, pattern)| pattern).collect()
}

/// Levenshtein's distance: how many bytes to insert, remove or replace.
fn distance(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, left) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, right) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_path(path: &str) -> Option<(Endpoint, Vec<String>)> {
        let segments = crate::query::path_segments(path)?;
        find(&segments).map(|(route, captures)| (route.endpoint, captures.into_iter().map(str::to_owned).collect()))
    }

    #[test]
    fn every_pattern_is_found_by_its_own_route() {
        for route in ROUTES {
            assert_eq!(
                find_path(route.pattern).map(|(endpoint, _)| endpoint),
                Some(route.endpoint),
                "{}",
                route.pattern
            );
        }
    }

    #[test]
    fn braces_stand_for_one_segment_with_any_text() {
        assert_eq!(find_path("/api/workers/a%2Fb.%20c"), Some((Endpoint::Worker, vec!["a/b. c".into()])));
        assert_eq!(find_path("/api/workers/"), None);
        assert_eq!(find_path("/api/workers/a/b"), None);
    }

    #[test]
    fn a_slip_of_the_pen_is_understood() {
        assert_eq!(near("/api/worker")[0], "/api/workers");
        assert_eq!(near("/api/blcoks")[0], "/api/blocks");
        assert_eq!(near("/wp-login.php"), Vec::<&str>::new());
    }
}
