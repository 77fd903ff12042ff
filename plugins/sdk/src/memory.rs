//! What a plugin remembers from call to call: bytes that the host keeps. Here they are JSON.

use crate::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The host refuses an answer with more.
pub const MAX_MEMORY_BYTES: usize = 4 << 10;

/// Writes a value to be kept as memory; at most [`MAX_MEMORY_BYTES`].
pub fn remember(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let memory = serde_json::to_vec(value).map_err(|error| Error::Internal(format!("write the memory: {error}")))?;
    match memory.len() {
        0..=MAX_MEMORY_BYTES => Ok(memory),
        size => Err(Error::Internal(format!("{size} bytes of memory, at most {MAX_MEMORY_BYTES}"))),
    }
}

/// Reads what [`remember`] wrote. `None` when there is no memory yet; an error when it is not this plugin's.
pub fn recall<T: DeserializeOwned>(memory: &[u8]) -> Result<Option<T>, Error> {
    if memory.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(memory).map(Some).map_err(|error| Error::Internal(format!("read the memory: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_recalled() {
        let memory = remember(&vec![1u64, 2]).unwrap();
        assert_eq!(recall::<Vec<u64>>(&memory), Ok(Some(vec![1, 2])));
        assert_eq!(recall::<Vec<u64>>(&[]), Ok(None));
    }

    #[test]
    fn what_another_plugin_remembered_is_an_error() {
        assert!(matches!(recall::<Vec<u64>>(b"{}"), Err(Error::Internal(_))));
    }

    #[test]
    fn more_memory_than_the_host_keeps_is_an_error() {
        assert!(remember(&"x".repeat(MAX_MEMORY_BYTES - 2)).is_ok());
        assert!(remember(&"x".repeat(MAX_MEMORY_BYTES - 1)).is_err());
    }
}
