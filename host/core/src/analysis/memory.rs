//! What an analyzer remembers from one measurement of a metric to the next. It is kept in the metric's last measurement, so that it
//! is stored by the same patch as what it was derived from, and survives on any CRD.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kulta_api::analysis::MetricResult;

/// Key in a measurement's `metadata`; the value is the memory's bytes as base64 (RFC 4648, with padding).
pub const MEMORY_KEY: &str = "kulta.io/memory";

/// Somebody changed the memory that was stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the analyzer's memory in metadata[{MEMORY_KEY:?}] is no base64")]
pub struct UnreadableMemory;

/// Empty when nothing is remembered.
pub(super) fn read(result: Option<&MetricResult>) -> Result<Vec<u8>, UnreadableMemory> {
    let stored = result.and_then(|result| result.measurements.last()).and_then(|last| last.metadata.get(MEMORY_KEY));
    stored.map_or(Ok(Vec::new()), |text| STANDARD.decode(text).map_err(|_| UnreadableMemory))
}

/// The metadata with this memory, and whatever an analyzer put in its place taken out.
pub(super) fn write(metadata: &mut BTreeMap<String, String>, memory: &[u8]) {
    if memory.is_empty() {
        metadata.remove(MEMORY_KEY);
    } else {
        metadata.insert(MEMORY_KEY.to_owned(), STANDARD.encode(memory));
    }
}
