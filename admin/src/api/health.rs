//! `/healthz` and `/readyz`.

use crate::state::Published;
use serde::Serialize;
use std::time::Duration;
use warppool_components::node::NodeHealth;

/// Age of the latest job beyond which the pool is not ready: four refreshes of the template.
const JOB_AGE_MAX: Duration = Duration::from_secs(120);

/// Silence of the engine beyond which it counts as stuck; it publishes every second.
const SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(30);

/// Answer of `/healthz`.
#[derive(Serialize)]
pub(crate) struct Health {
    status: &'static str,
}

impl Health {
    /// The process answers, which is all that is asked.
    pub(crate) const OK: Self = Self { status: "ok" };
}

/// Answer of `/readyz`.
#[derive(Serialize)]
pub(crate) struct Readiness {
    /// Whether the pool can be mined on.
    pub(crate) ready: bool,
    reasons: Vec<String>,
}

/// Whether the pool can be mined on, with a sentence for each thing that is missing.
pub(crate) fn readiness(published: Option<&Published>) -> Readiness {
    let reasons = published.map_or_else(|| vec!["The engine has not published anything yet.".to_owned()], reasons);
    Readiness { ready: reasons.is_empty(), reasons }
}

fn reasons(published: &Published) -> Vec<String> {
    let snapshot = &published.snapshot;
    let silence = published.received_at.elapsed();
    let mut reasons = Vec::new();
    if silence > SNAPSHOT_AGE_MAX {
        reasons.push(format!("The engine has been silent for {} s.", silence.as_secs()));
    }
    if snapshot.node.health != NodeHealth::Ready {
        let (health, message) = (snapshot.node.health.label(), &snapshot.node.message);
        reasons.push(format!("The node is {health}. {message}").trim_end().to_owned());
    }
    match &snapshot.job {
        None => reasons.push("There is no job for miners yet.".to_owned()),
        Some(job) => {
            let age =
                Duration::from_millis(snapshot.at.millis().saturating_sub(job.template_received_at.millis())) + silence;
            if age > JOB_AGE_MAX {
                reasons.push(format!("The latest job is {} s old.", age.as_secs()));
            }
        }
    }
    reasons
}
