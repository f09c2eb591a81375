//! The dashboard's files, built into the binary, and what stands in for them when they were not built.

use crate::problem::Problem;
use crate::reply::{Reply, reply};
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY,
};
use hyper::{StatusCode, body::Bytes};
use rust_embed::RustEmbed;
use std::borrow::Cow;

/// A file.
pub(crate) struct Asset {
    /// What is in it.
    pub(crate) bytes: Cow<'static, [u8]>,
    /// SHA-256 of that.
    pub(crate) hash: [u8; 32],
}

/// Where files come from.
pub(crate) trait Assets: Send + Sync {
    /// The file of a path without leading slash.
    fn get(&self, path: &str) -> Option<Asset>;
}

/// `ui/dist` as it was when the binary was built. In a debug build the files are read when asked for.
#[derive(RustEmbed)]
#[folder = "../ui/dist"]
#[allow_missing = true]
struct Dist;

/// The built dashboard, which may be missing.
pub(crate) struct BuiltDashboard;

impl Assets for BuiltDashboard {
    fn get(&self, path: &str) -> Option<Asset> {
        Dist::get(path).map(|file| Asset { bytes: file.data, hash: file.metadata.sha256_hash() })
    }
}

const PLACEHOLDER_PAGE: &str = include_str!("placeholder.html");
const PLACEHOLDER_STYLE: &str = include_str!("placeholder.css");

/// The answer for a path that no route has; `None` when there is no such file.
pub(crate) fn serve(assets: &dyn Assets, segments: &[String], headers: &HeaderMap) -> Option<Result<Reply, Problem>> {
    let hidden =
        |segment: &String| segment.is_empty() || segment.starts_with('.') || segment.contains(['/', '\\', '\0']);
    if segments.iter().any(hidden) {
        return None;
    }
    let path = if segments.is_empty() { "index.html".to_owned() } else { segments.join("/") };
    let Some(plain) = assets.get(&path) else { return placeholder(assets, &path).map(Ok) };
    let (asset, encoding) = encoded(assets, &path, headers).unwrap_or((plain, None));
    Some(Ok(file_reply(&path, asset, encoding, headers)))
}

fn placeholder(assets: &dyn Assets, path: &str) -> Option<Reply> {
    if assets.get("index.html").is_some() {
        return None;
    }
    match path {
        "index.html" => Some(reply(StatusCode::OK, "text/html; charset=utf-8", PLACEHOLDER_PAGE)),
        "placeholder.css" => Some(reply(StatusCode::OK, "text/css; charset=utf-8", PLACEHOLDER_STYLE)),
        _ => None,
    }
}

/// A compressed form that was built beside the file and that the browser takes.
fn encoded(assets: &dyn Assets, path: &str, headers: &HeaderMap) -> Option<(Asset, Option<&'static str>)> {
    [("br", ".br"), ("gzip", ".gz")]
        .into_iter()
        .filter(|(name, _)| accepts(headers, name))
        .find_map(|(name, ending)| assets.get(&format!("{path}{ending}")).map(|asset| (asset, Some(name))))
}

fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let offers = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    offers.flat_map(|value| value.split(',')).any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        named && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

fn file_reply(path: &str, asset: Asset, encoding: Option<&'static str>, headers: &HeaderMap) -> Reply {
    let etag = format!("\"{}\"", crate::api::hex(&asset.hash[..16]));
    let unchanged = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    });
    let mut answer = if unchanged {
        reply(StatusCode::NOT_MODIFIED, "", Bytes::new())
    } else {
        reply(StatusCode::OK, content_type(path), asset.bytes.into_owned())
    };
    let headers = answer.headers_mut();
    // Files under assets/ have a hash in their names: what is behind such a name never changes.
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, etag);
    }
    if let Some(encoding) = encoding.filter(|_| !unchanged) {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if unchanged {
        headers.remove(CONTENT_TYPE);
    }
    answer
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}
