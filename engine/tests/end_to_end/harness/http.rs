//! The HTTP side as a client sees it.

use super::{Pool, until};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

impl Pool {
    /// Status and text of a page.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let request = ureq::get(format!("http://{}{path}", self.http)).config().http_status_as_error(false).build();
        let mut answer = request.call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }

    /// A page of JSON that is there.
    pub(crate) fn json(&self, path: &str) -> Value {
        let (status, text) = self.get(path);
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The page once it is as it should be.
    pub(crate) fn json_when(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut last = String::new();
        until(&format!("{path} as expected"), || {
            let (status, text) = self.get(path);
            let page = (status == 200).then(|| serde_json::from_str(&text).unwrap());
            if last != text {
                last = text;
            }
            page.filter(&is_so)
        })
    }

    /// A metric; its name may have labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no metric {name}")).parse().unwrap()
    }

    /// The worker of a name, as `/api/workers` has it.
    pub(crate) fn worker(&self, name: &str) -> Option<Value> {
        let (status, text) = self.get("/api/workers");
        let page: Value = if status == 200 { serde_json::from_str(&text).unwrap() } else { return None };
        page["workers"].as_array().unwrap().iter().find(|worker| worker["name"] == name).cloned()
    }

    /// Shares of a worker that the store holds: accepted, refused, and the difficulty of the accepted ones.
    pub(crate) fn stored_shares(&self, name: &str) -> (u64, u64, f64) {
        let (status, text) = self.get(&format!("/api/hashrate?worker={name}&hours=2&step=300"));
        if status == 404 {
            // A worker that is too new for the snapshot.
            return (0, 0, 0.0);
        }
        assert_eq!(status, 200, "{text}");
        let page: Value = serde_json::from_str(&text).unwrap();
        let points = page["points"].as_array().unwrap();
        let sum = |key: &str| points.iter().map(|point| point[key].as_u64().unwrap()).sum::<u64>();
        let difficulty = points.iter().map(|point| point["accepted_difficulty"].as_f64().unwrap()).sum();
        (sum("accepted"), sum("rejected"), difficulty)
    }
}

/// A browser that listens to `/api/events`.
pub(crate) struct Events {
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Events {
    /// Listens until the pool ends.
    pub(crate) fn listen(pool: &Pool) -> Self {
        let mut stream = TcpStream::connect(pool.http).unwrap();
        stream.write_all(b"GET /api/events HTTP/1.1\r\nHost: pool\r\nAccept: text/event-stream\r\n\r\n").unwrap();
        let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
        let into = Arc::clone(&heard);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let event = line.strip_prefix("data:").and_then(|data| serde_json::from_str(data).ok());
                event.into_iter().for_each(|event| into.lock().unwrap().push(event));
            }
        });
        Self { heard }
    }

    /// Waits for an event of a type that is as it should be.
    pub(crate) fn wait_for(&self, kind: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        until(&format!("an event {kind}"), || {
            self.heard.lock().unwrap().iter().find(|event| event["type"] == kind && is_so(event)).cloned()
        })
    }

    /// Whether an event of this type has come.
    pub(crate) fn heard(&self, kind: &str) -> bool {
        self.heard.lock().unwrap().iter().any(|event| event["type"] == kind)
    }
}
