//! The memory that an analyzer passes from one measurement of a metric to the next. It is stored in the metric's last
//! measurement. So one patch stores it together with that measurement, and any CRD keeps it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kulta_api::analysis::MetricResult;

/// Key in a measurement's `metadata`; the value is the memory's bytes as base64 (RFC 4648, with padding).
pub const MEMORY_KEY: &str = "kulta.io/memory";

/// Another writer has changed the stored memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the analyzer's memory in metadata[{MEMORY_KEY:?}] is no base64")]
pub struct UnreadableMemory;

/// Reads the stored memory. It is empty if none is stored.
pub(super) fn read(result: Option<&MetricResult>) -> Result<Vec<u8>, UnreadableMemory> {
    let stored = result.and_then(|result| result.measurements.last()).and_then(|last| last.metadata.get(MEMORY_KEY));
    stored.map_or(Ok(Vec::new()), |text| STANDARD.decode(text).map_err(|_| UnreadableMemory))
}

/// Writes this memory into the metadata. A value that the analyzer itself put under the key is removed.
pub(super) fn write(metadata: &mut BTreeMap<String, String>, memory: &[u8]) {
    if memory.is_empty() {
        metadata.remove(MEMORY_KEY);
    } else {
        metadata.insert(MEMORY_KEY.to_owned(), STANDARD.encode(memory));
    }
}
