//! The machine that figures come from, as far as Linux says it, and how busy it is with other things.

use std::fs::read_to_string;
use std::path::Path;
use std::process::Command;

/// What a processor can that our code asks for.
const FEATURES: [&str; 12] = [
    "sha_ni",
    "bmi2",
    "avx2",
    "avx512f",
    "avx512vl",
    "avx512bw",
    "asimd",
    "sha2",
    "sha512",
    "sve",
    "sve2",
    "hypervisor",
];

/// Name and value of everything worth knowing.
pub(crate) fn describe(root: &Path) -> Vec<(&'static str, String)> {
    let processor = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    vec![
        ("processor", format!("{}, {cores} cores", model(&processor))),
        ("of its instruction sets", features(&processor)),
        ("system", format!("Linux {}", kernel.trim())),
        ("compiler", output(root, "rustc", &["--version"])),
        ("commit", output(root, "git", &["describe", "--always", "--dirty"])),
    ]
}

fn model(processor: &str) -> String {
    let field = |name: &str| {
        let line = processor.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let name = field("model name").unwrap_or_else(|| "unknown".to_owned());
    match (field("cpu family"), field("model")) {
        (Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        _ => name,
    }
}

fn features(processor: &str) -> String {
    let line =
        processor.lines().find(|line| line.starts_with("flags") || line.starts_with("Features")).unwrap_or_default();
    let found: Vec<&str> = line.split_whitespace().filter(|word| FEATURES.contains(word)).collect();
    found.join(", ")
}

fn output(root: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root).output();
    output.map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Time of all cores since the start of the system, in ticks of its clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Load {
    total: u64,
    busy: u64,
    /// That of the commands that this process has waited for.
    own: u64,
}

impl Load {
    /// Up to now; `None` where there is no such file.
    pub(crate) fn now() -> Option<Self> {
        Self::read(&read_to_string("/proc/stat").ok()?, &read_to_string("/proc/self/stat").ok()?)
    }

    fn read(system: &str, process: &str) -> Option<Self> {
        let fields: Vec<u64> =
            system.lines().next()?.split_whitespace().skip(1).take(8).map_while(|field| field.parse().ok()).collect();
        let [user, nice, kernel, idle, waiting, interrupts, soft_interrupts, stolen] = fields.try_into().ok()?;
        let busy = user + nice + kernel + interrupts + soft_interrupts + stolen;
        // Behind the name, which may hold anything, come the state and then fields 4 and on; 16 and 17 are the children's.
        let fields: Vec<&str> = process.rsplit_once(')')?.1.split_whitespace().collect();
        let own = fields.get(13)?.parse::<u64>().ok()? + fields.get(14)?.parse::<u64>().ok()?;
        Some(Self { total: busy + idle + waiting, busy, own })
    }
}

/// How much of the cores' time others had.
pub(crate) trait Others {
    /// In percent, until `later`.
    fn others_percent(&self, later: &Self) -> Option<f64>;
}

impl Others for Option<Load> {
    fn others_percent(&self, later: &Self) -> Option<f64> {
        let (before, after) = ((*self)?, (*later)?);
        let others = (after.busy - before.busy).saturating_sub(after.own - before.own);
        Some(100.0 * others as f64 / (after.total - before.total).max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_used_is_what_was_used_without_our_own() {
        let process = |own: u64| format!("7 (a) b) S 1 1 1 0 -1 0 0 0 0 0 9 9 {own} 1 20 0 1 0");
        let before = Load::read("cpu  10 0 10 100 0 0 0 0 0 0\n", &process(0));
        let after = Load::read("cpu  50 0 20 150 0 0 0 0 0 0\n", &process(30));
        assert_eq!(before, Some(Load { total: 120, busy: 20, own: 1 }));
        assert_eq!(before.others_percent(&after), Some(20.0));
        assert_eq!(before.others_percent(&None), None);
    }

    #[test]
    fn a_processor_is_named() {
        let text = "processor\t: 0\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Some Processor\nflags\t\t: fpu avx2 sha_ni\n";
        assert_eq!(model(text), "Some Processor (family 6, model 143)");
        assert_eq!(features(text), "avx2, sha_ni");
    }
}
