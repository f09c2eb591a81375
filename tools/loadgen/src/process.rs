//! What /proc tells about a process: CPU time, resident memory, the limit of open files.

use std::fs;
use std::time::Duration;

/// Clock ticks of /proc/PID/stat in a second. The kernel's interface fixes it at 100 (`USER_HZ`) on every
/// architecture that this program is built for.
const TICKS_PER_SECOND: u64 = 100;

/// A figure of a process could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {what} from {path}: {reason}")]
pub struct ProcessError {
    what: &'static str,
    path: String,
    reason: String,
}

/// CPU time that a process with all its threads has used since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In its own code.
    pub user: Duration,
    /// In the kernel on its behalf.
    pub system: Duration,
}

impl CpuTime {
    /// What was used since an earlier reading.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }

    /// Both together.
    #[must_use]
    pub fn total(self) -> Duration {
        self.user + self.system
    }
}

/// CPU time of a process; `None` is this one. Resolution: 10 ms.
///
/// # Errors
/// When there is no such process or it may not be read.
pub fn cpu_time(pid: Option<u32>) -> Result<CpuTime, ProcessError> {
    let path = path_of(pid, "stat");
    let text = read(&path, "CPU time")?;
    parse_cpu_time(&text).ok_or(ProcessError { what: "CPU time", path, reason: "unknown format".to_owned() })
}

/// Time that the threads of a process which are alive now have run, to the nanosecond: for differences too small for
/// [`cpu_time`].
///
/// # Errors
/// When there is no such process, it may not be read, or the kernel does not keep the figure.
pub fn run_time(pid: u32) -> Result<Duration, ProcessError> {
    let path = path_of(Some(pid), "task");
    let failed = |reason: String| ProcessError { what: "the time of its threads", path: path.clone(), reason };
    let mut sum = Duration::ZERO;
    for thread in fs::read_dir(&path).map_err(|error| failed(error.to_string()))? {
        let thread = thread.map_err(|error| failed(error.to_string()))?.path();
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(thread.join("schedstat")) else { continue };
        let nanoseconds = text.split_whitespace().next().and_then(|field| field.parse().ok());
        sum += Duration::from_nanos(nanoseconds.ok_or_else(|| failed("unknown format".to_owned()))?);
    }
    Ok(sum)
}

/// Resident memory of a process in bytes; `None` is this one.
///
/// # Errors
/// When there is no such process or it may not be read.
pub fn resident_bytes(pid: Option<u32>) -> Result<u64, ProcessError> {
    let path = path_of(pid, "status");
    let text = read(&path, "resident memory")?;
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    let kilobytes: Option<u64> = kilobytes;
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or(ProcessError {
        what: "resident memory",
        path,
        reason: "no VmRSS line".to_owned(),
    })
}

/// Open files that this process is allowed (the soft limit).
///
/// # Errors
/// When /proc is not there.
pub fn open_files_max() -> Result<u64, ProcessError> {
    let path = "/proc/self/limits".to_owned();
    let text = read(&path, "the limit of open files")?;
    let soft = text.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    match soft {
        Some("unlimited") => Ok(u64::MAX),
        Some(number) => number.parse().map_err(|_| unreadable_limit(path)),
        None => Err(unreadable_limit(path)),
    }
}

fn unreadable_limit(path: String) -> ProcessError {
    ProcessError { what: "the limit of open files", path, reason: "unknown format".to_owned() }
}

fn path_of(pid: Option<u32>, file: &str) -> String {
    pid.map_or_else(|| format!("/proc/self/{file}"), |pid| format!("/proc/{pid}/{file}"))
}

fn read(path: &str, what: &'static str) -> Result<String, ProcessError> {
    fs::read_to_string(path).map_err(|error| ProcessError { what, path: path.to_owned(), reason: error.to_string() })
}

/// Fields 14 and 15. The name in field 2 may hold spaces and brackets, so counting starts after its last bracket.
fn parse_cpu_time(stat: &str) -> Option<CpuTime> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let (user, system) = (ticks()?, ticks()?);
    let time = |ticks| Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND);
    Some(CpuTime { user: time(user), system: time(system) })
}

#[cfg(test)]
mod tests {
    use super::{CpuTime, cpu_time, open_files_max, parse_cpu_time, resident_bytes, run_time};
    use std::time::Duration;

    #[test]
    fn cpu_time_is_read_behind_a_name_with_brackets() {
        let stat = "77 (a) b) R 1 2 3 4 5 6 7 8 9 10 250 31 0 0 20 0";
        let expected = CpuTime { user: Duration::from_millis(2500), system: Duration::from_millis(310) };
        assert_eq!(parse_cpu_time(stat), Some(expected));
        assert_eq!(parse_cpu_time("77 (a) R 1"), None);
    }

    #[test]
    fn this_process_can_be_read_and_a_missing_one_is_named() {
        assert!(cpu_time(None).is_ok());
        assert!(run_time(std::process::id()).expect("this process") > Duration::ZERO);
        assert!(run_time(u32::MAX).is_err());
        assert!(resident_bytes(Some(std::process::id())).expect("this process") > 100_000);
        assert!(open_files_max().expect("this process") > 0);
        let error = cpu_time(Some(u32::MAX)).expect_err("no such process").to_string();
        assert!(error.contains("/proc/4294967295/stat"), "{error}");
    }
}
