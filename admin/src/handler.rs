//! From a request to its answer.

use crate::api::{blocks, ckpool, hashrate, health, jobs, overview, public_pool, qr, workers};
use crate::problem::{Problem, READ_METHODS, shortened};
use crate::query::{Query, path_segments};
use crate::reply::{Reply, ReplyBody, add_security_headers, json_reply, reply, to_json};
use crate::route::{self, Endpoint, Route};
use crate::state::State;
use crate::{assets, metrics};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;
use warppool_components::limits::{EVENT_LISTENERS_MAX, HTTP_BODY_BYTES_MAX};
use warppool_components::units::UnixTime;

const OPENAPI: &str = include_str!("openapi.json");

/// Answers one request.
pub(crate) async fn handle<B>(state: Arc<State>, peer: IpAddr, request: Request<B>) -> Reply {
    // Bodies are of no use to anything here and are not read.
    let (head, _) = request.into_parts();
    let mut answer = respond(&state, &head).await.unwrap_or_else(Problem::into_reply);
    add_security_headers(answer.headers_mut());
    let client = client_address(&head.headers, peer, state.options.trust_proxy_headers);
    tracing::debug!(%client, method = %head.method, path = head.uri.path(), status = answer.status().as_u16(), "http request");
    answer
}

async fn respond(state: &Arc<State>, head: &hyper::http::request::Parts) -> Result<Reply, Problem> {
    if body_length(&head.headers) > HTTP_BODY_BYTES_MAX as u64 {
        return Err(Problem::too_large(HTTP_BODY_BYTES_MAX));
    }
    let path = head.uri.path();
    let segments = path_segments(path).ok_or_else(|| {
        Problem::bad_request(
            "The path is badly percent-encoded: after % come two hexadecimal digits, and the text is UTF-8.",
        )
    })?;
    if route::is_administration(&segments) {
        return Err(Problem::auth_disabled(
            "This version of the pool has no login and no administration over HTTP yet.",
        ));
    }
    match route::find(&segments) {
        Some((route, captures)) => match readable(&head.method)? {
            Some(options) => Ok(options),
            None => endpoint_reply(state, head, route, &captures).await,
        },
        None => match assets::serve(&*state.assets, &segments, &head.headers) {
            Some(file) => readable(&head.method)?.map_or(file, Ok),
            None => Err(not_found(path)),
        },
    }
}

/// The answer to `OPTIONS`, nothing for methods that read.
fn readable(method: &Method) -> Result<Option<Reply>, Problem> {
    match *method {
        Method::GET | Method::HEAD => Ok(None),
        Method::OPTIONS => {
            let mut answer = reply(StatusCode::NO_CONTENT, "", "");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(READ_METHODS));
            Ok(Some(answer))
        }
        _ => Err(Problem::method_not_allowed(method)),
    }
}

async fn endpoint_reply(
    state: &Arc<State>,
    head: &hyper::http::request::Parts,
    route: &Route,
    captures: &[&str],
) -> Result<Reply, Problem> {
    if !route.open && !state.options.public_reads {
        return Err(Problem::auth_disabled(
            "Reading is restricted by [server] public_reads = false, and this version of the pool has no login yet.",
        ));
    }
    let first = captures.first().copied().unwrap_or_default();
    let second = captures.get(1).copied().unwrap_or_default();
    let query = |known: &[&str]| Query::parse(head.uri.query(), known);
    let json = |bytes| Ok(reply(StatusCode::OK, "application/json", bytes));
    match route.endpoint {
        Endpoint::Health => json(to_json(&health::Health::OK)),
        Endpoint::OpenApi => json(OPENAPI.into()),
        Endpoint::Ready => {
            let readiness = health::readiness(state.published().ok().as_deref());
            let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            Ok(json_reply(status, &readiness))
        }
        Endpoint::Metrics => {
            let published = state.published()?;
            let text =
                published.metrics.get_or_init(|| metrics::pool_metrics(&published.snapshot, &state.options).into());
            Ok(reply(StatusCode::OK, metrics::CONTENT_TYPE, text.clone()))
        }
        Endpoint::WorkerMetrics if !state.options.worker_metrics => Err(Problem::not_found(
            "Metrics of single workers are off; [server] worker_metrics = true switches them on.",
        )),
        Endpoint::WorkerMetrics => {
            let text = metrics::worker_metrics(&state.published()?.snapshot);
            Ok(reply(StatusCode::OK, metrics::CONTENT_TYPE, text))
        }
        Endpoint::Overview => {
            let published = state.published()?;
            let overview = || to_json(&overview::overview(&published.snapshot, &state.options));
            json(published.overview.get_or_init(overview).clone())
        }
        Endpoint::Workers => {
            let query = query(&["q", "sort", "cursor", "limit"])?;
            json(to_json(&workers::page(&state.published()?.snapshot, &query)?))
        }
        Endpoint::Worker => json(to_json(&workers::detail(&state.published()?.snapshot, first)?)),
        Endpoint::WorkerHistory => {
            let query = query(&["hours", "step"])?;
            json(to_json(&hashrate::history(state, Some(first), &query).await?))
        }
        Endpoint::Hashrate => {
            let query = query(&["worker", "hours", "step"])?;
            json(to_json(&hashrate::history(state, query.text("worker"), &query).await?))
        }
        Endpoint::Blocks => json(to_json(&blocks::page(state, &query(&["cursor", "limit"])?).await?)),
        Endpoint::CurrentJob => json(to_json(&jobs::current(&state.published()?.snapshot))),
        Endpoint::Qr => json(to_json(&qr::code(query(&["text"])?.text("text"))?)),
        Endpoint::Events => events_reply(state, &head.headers),
        Endpoint::PublicPoolInfo => json(to_json(&public_pool::info(&state.published()?.snapshot))),
        Endpoint::PublicPoolPool => json(to_json(&public_pool::pool(&state.published()?.snapshot))),
        Endpoint::PublicPoolNetwork => {
            json(to_json(&public_pool::network(&state.published()?.snapshot, state.options.network)))
        }
        Endpoint::PublicPoolClient => json(to_json(&public_pool::client(&state.published()?.snapshot, first))),
        Endpoint::PublicPoolWorker => json(to_json(&public_pool::worker(state, first, second).await?)),
        Endpoint::CkpoolUser => json(to_json(&ckpool::user(&state.published()?.snapshot, first)?)),
        Endpoint::CkpoolStatus => {
            Ok(reply(StatusCode::OK, "text/plain; charset=utf-8", ckpool::status(&state.published()?.snapshot)))
        }
    }
}

fn events_reply(state: &Arc<State>, headers: &HeaderMap) -> Result<Reply, Problem> {
    let Ok(place) = Arc::clone(&state.listener_places).try_acquire_owned() else {
        return Err(Problem::busy(format!(
            "{EVENT_LISTENERS_MAX} browsers listen to events already; try again later."
        )));
    };
    // An id that is not text is none of ours: the listener is told to fetch anew.
    let last_event_id = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default());
    let body = state.events.listen(last_event_id, place, state.bounds.heartbeat, wall_clock());
    let mut answer = Response::new(ReplyBody::Events(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would collect events into blocks otherwise.
    answer.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(answer)
}

fn not_found(path: &str) -> Problem {
    let near = route::near(path);
    let advice = match near.as_slice() {
        [] => "GET /api/openapi.json lists what there is.".to_owned(),
        paths => format!("Did you mean {}?", paths.join(" or ")),
    };
    Problem::not_found(format!("There is nothing at {}. {advice}", shortened(path)))
}

fn body_length(headers: &HeaderMap) -> u64 {
    headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse().ok())
        .unwrap_or(0)
}

/// Who asks: the peer, or whom the operator's proxy names. The last address in the header is the one which that proxy saw.
fn client_address(headers: &HeaderMap, peer: IpAddr, trust_proxy_headers: bool) -> IpAddr {
    if !trust_proxy_headers {
        return peer;
    }
    let forwarded = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    forwarded.and_then(|value| value.rsplit(',').next()?.trim().parse().ok()).unwrap_or(peer)
}

/// The time of day, which tells runs apart and dates what no snapshot dates.
pub(crate) fn wall_clock() -> UnixTime {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_believed_only_when_the_operator_says_so() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 192.0.2.7"));
        let peer: IpAddr = [127, 0, 0, 1].into();
        assert_eq!(client_address(&headers, peer, false), peer);
        assert_eq!(client_address(&headers, peer, true), IpAddr::from([192, 0, 2, 7]));
        headers.insert("x-forwarded-for", HeaderValue::from_static("unknown"));
        assert_eq!(client_address(&headers, peer, true), peer);
    }
}
