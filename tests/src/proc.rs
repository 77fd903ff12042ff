//! What the kernel says of a process under `/proc`.

use std::time::Duration;

use anyhow::{Context, Result};

/// Milliseconds of a tick of CPU time on Linux.
const TICK: u64 = 10;

/// A file of the process, such as `status`.
pub fn file(id: u32, name: &str) -> Result<String> {
    std::fs::read_to_string(format!("/proc/{id}/{name}")).with_context(|| format!("look at {name} of process {id}"))
}

/// CPU time so far, user and system, of all threads.
pub fn cpu(id: u32) -> Result<Duration> {
    Ok(cpu_in(&file(id, "stat")?))
}

fn cpu_in(stat: &str) -> Duration {
    // The command's name may hold spaces and brackets; the numbers come after its closing bracket.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
    Duration::from_millis((ticks(11) + ticks(12)) * TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_that_of_user_and_system_whatever_the_command_is_called() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 7 7 20 0 9 0 100 1000 100";

        assert_eq!(cpu_in(stat), Duration::from_secs(3));
    }

    #[test]
    fn this_process_has_used_some() -> Result<()> {
        let id = std::process::id();
        let before = cpu(id)?;
        while cpu(id)? == before {
            std::hint::black_box(file(id, "stat")?);
        }
        Ok(())
    }
}
