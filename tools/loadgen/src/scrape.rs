//! Figures that a server tells about itself, from its Prometheus page.
//!
//! One plain request a reading, outside any measured interval.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::limits::METRICS_BYTES_MAX;

/// How long the page may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sum and count of a histogram since the server started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Observations {
    /// Sum of all values, in the histogram's unit.
    pub sum: f64,
    /// Values counted.
    pub count: f64,
}

impl Observations {
    /// The mean of what was counted since an earlier reading; `None` when that is nothing.
    #[must_use]
    pub fn mean_since(self, earlier: Self) -> Option<f64> {
        let count = self.count - earlier.count;
        (count > 0.0).then(|| (self.sum - earlier.sum) / count)
    }
}

/// Reads the page at `/metrics`.
///
/// # Errors
/// When the server cannot be reached, or sends something else than a page of bounded length.
pub fn page(server: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(format!("GET /metrics HTTP/1.0\r\nHost: {server}\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    stream.take(METRICS_BYTES_MAX).read_to_string(&mut text)?;
    match text.lines().next() {
        Some(status) if status.contains(" 200 ") => Ok(text),
        status => Err(io::Error::other(format!("{server} answered {status:?} when asked for /metrics"))),
    }
}

/// The histogram called `name`, without labels.
#[must_use]
pub fn histogram(page: &str, name: &str) -> Option<Observations> {
    let value = |suffix: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(suffix)?.strip_prefix(' '));
        line?.trim().parse::<f64>().ok()
    };
    Some(Observations { sum: value("_sum")?, count: value("_count")? })
}

#[cfg(test)]
mod tests {
    use super::{Observations, histogram};

    #[test]
    fn a_histogram_is_read_by_its_whole_name() {
        let page = "a_seconds_total_sum 9\na_seconds_bucket{le=\"1\"} 3\na_seconds_sum 1.5\na_seconds_count 3\n";
        let now = Observations { sum: 1.5, count: 3.0 };
        assert_eq!(histogram(page, "a_seconds"), Some(now));
        assert_eq!(histogram(page, "seconds"), None);
        assert_eq!(now.mean_since(Observations { sum: 0.5, count: 1.0 }), Some(0.5));
        assert_eq!(now.mean_since(now), None);
    }
}
