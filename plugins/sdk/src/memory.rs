//! A plugin's state between calls: bytes that the host stores. The SDK encodes them as JSON.

use crate::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The host rejects an answer with more.
pub const MAX_MEMORY_BYTES: usize = 4 << 10;

/// Encodes a value as state; at most [`MAX_MEMORY_BYTES`].
pub fn remember(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let memory = serde_json::to_vec(value).map_err(|error| Error::Internal(format!("write the memory: {error}")))?;
    match memory.len() {
        0..=MAX_MEMORY_BYTES => Ok(memory),
        size => Err(Error::Internal(format!("{size} bytes of memory, at most {MAX_MEMORY_BYTES}"))),
    }
}

/// Decodes the value of [`remember`]. `None` without a stored state; an error if another plugin wrote it.
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
    fn a_remembered_value_is_recalled() {
        let memory = remember(&vec![1u64, 2]).unwrap();
        assert_eq!(recall::<Vec<u64>>(&memory), Ok(Some(vec![1, 2])));
        assert_eq!(recall::<Vec<u64>>(&[]), Ok(None));
    }

    #[test]
    fn the_state_of_another_plugin_is_an_error() {
        assert!(matches!(recall::<Vec<u64>>(b"{}"), Err(Error::Internal(_))));
    }

    #[test]
    fn a_state_over_the_limit_is_an_error() {
        assert!(remember(&"x".repeat(MAX_MEMORY_BYTES - 2)).is_ok());
        assert!(remember(&"x".repeat(MAX_MEMORY_BYTES - 1)).is_err());
    }
}
