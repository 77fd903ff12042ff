//! The summary at the end of the demo.

use std::time::Duration;

use kulta_embedded::metrics::traffic::Tally;

use super::frame::grouped;

/// Memory figures of a process on Linux.
const STATUS: &str = "/proc/self/status";
/// In bytes.
const MEBIBYTE: u64 = 1024 * 1024;
/// The highest resident memory so far.
const PEAK: &str = "VmHWM:";

/// The results of the demo.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub took: Duration,
    pub actions: Vec<String>,
    pub requests: Tally,
    pub writes: u64,
    pub kube_events: u64,
    pub events: usize,
    /// Highest resident memory in bytes, on systems that report it.
    pub peak_memory: Option<u64>,
}

impl Summary {
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let Tally { succeeded, failed, unserved } = self.requests;
        let sent = succeeded.saturating_add(failed).saturating_add(unserved);
        let mut lines = vec!["What happened:".to_owned()];
        lines.extend(self.actions.iter().map(|action| format!("  {action}")));
        lines.push(format!(
            "Requests: {} since v1 is up, {} failed to be served, {} got an error from v3",
            grouped(sent),
            grouped(unserved),
            grouped(failed)
        ));
        lines.push(format!(
            "Controller: {} API writes, {} Kubernetes events, {} CDEvents",
            self.writes, self.kube_events, self.events
        ));
        let memory = self.peak_memory.map(|bytes| format!(", at most {} MiB of memory", bytes / MEBIBYTE));
        lines.push(format!("It took {:.1} s{}", self.took.as_secs_f64(), memory.unwrap_or_default()));
        lines
    }
}

/// The highest resident memory of this process in bytes.
#[must_use]
pub fn peak_memory() -> Option<u64> {
    read_peak(&std::fs::read_to_string(STATUS).ok()?)
}

/// The file has it in units of 1024 bytes.
fn read_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(PEAK))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reports_user_actions_requests_and_cost() {
        let summary = Summary {
            took: Duration::from_millis(45_678),
            actions: vec!["a user deploys v1".into()],
            requests: Tally { succeeded: 20_000, failed: 12, unserved: 0 },
            writes: 40,
            kube_events: 20,
            events: 15,
            peak_memory: Some(41 * MEBIBYTE),
        };

        assert_eq!(
            summary.lines(),
            [
                "What happened:",
                "  a user deploys v1",
                "Requests: 20,012 since v1 is up, 0 failed to be served, 12 got an error from v3",
                "Controller: 40 API writes, 20 Kubernetes events, 15 CDEvents",
                "It took 45.7 s, at most 41 MiB of memory",
            ]
        );
    }

    #[test]
    fn the_peak_is_read_from_the_process_status() {
        assert_eq!(read_peak("VmPeak:\t  9 kB\nVmHWM:\t   2048 kB\n"), Some(2_097_152));
    }
}
