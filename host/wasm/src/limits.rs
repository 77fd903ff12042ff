//! The limits of a call. No component is called without them.

use std::time::Duration;
use thiserror::Error;
use wasmtime::ResourceLimiter;

/// Python's interpreter fits in 16 MiB; four times that leaves room for data.
const MEMORY_BYTES: usize = 64 << 20;
/// A decision takes microseconds. The limit is for busy machines and slow languages.
const DEADLINE: Duration = Duration::from_secs(1);
/// The largest answer that the WIT allows is a tenth of this; a larger answer is not copied out of the sandbox.
const ANSWER_BYTES: usize = 256 << 10;
/// Above the largest known toolchains' components (Python: 18 MB).
const COMPONENT_BYTES: usize = 32 << 20;
/// Big language runtimes have tables of some 10,000 functions.
const TABLE_ELEMENTS: usize = 100_000;
/// A component of one language has a handful of core instances, with one or two memories and tables each.
const INSTANCES: usize = 64;
const TABLES: usize = 64;
const MEMORIES: usize = 16;

/// The limits of one call and of a loaded component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of all the component's linear memories together, in bytes.
    pub memory_bytes: usize,
    /// Time that the component may run. Time in which other tasks run does not count.
    pub deadline: Duration,
    /// Size of one answer or log line, in bytes.
    pub answer_bytes: usize,
    /// Largest accepted component, in bytes. Bounds the time to compile it.
    pub component_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: MEMORY_BYTES,
            deadline: DEADLINE,
            answer_bytes: ANSWER_BYTES,
            component_bytes: COMPONENT_BYTES,
        }
    }
}

/// Ends a call that exceeds its memory limit. This is a trap rather than a failed growth: a guest whose growth fails
/// panics, which looks like any other bug.
#[derive(Debug, Error)]
#[error("more than {limit} bytes of memory wanted")]
pub(crate) struct MemoryExceeded {
    pub(crate) limit: usize,
}

/// Ends a call that exceeds its time limit.
#[derive(Debug, Error)]
#[error("ran longer than {limit:?}")]
pub(crate) struct DeadlineExceeded {
    pub(crate) limit: Duration,
}

/// Counts the memory of one call.
pub(crate) struct MemoryGuard {
    limit: usize,
    used: usize,
}

impl MemoryGuard {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: 0 }
    }
}

impl ResourceLimiter for MemoryGuard {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            return Err(wasmtime::Error::new(MemoryExceeded { limit: self.limit }));
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            return Err(wasmtime::Error::new(MemoryExceeded { limit: self.limit }));
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_memories_share_one_limit() {
        let mut guard = MemoryGuard::new(100);
        assert!(guard.memory_growing(0, 60, None).is_ok());
        assert!(guard.memory_growing(0, 40, None).is_ok());
        assert!(guard.memory_growing(40, 41, None).is_err());
    }

    #[test]
    fn a_rejected_growth_has_its_own_error_type() {
        let error = MemoryGuard::new(100).memory_growing(0, 101, None).unwrap_err();
        assert!(error.downcast_ref::<MemoryExceeded>().is_some());
    }
}
