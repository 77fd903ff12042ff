//! Components for tests: plugins that misbehave as their configuration says, one that behaves, and the built-in ones.

/// A strategy.
pub const HOSTILE: &[u8] = include_bytes!(env!("KULTA_FIXTURE_HOSTILE"));
pub const HOSTILE_ANALYZER: &[u8] = include_bytes!(env!("KULTA_FIXTURE_HOSTILE_ANALYZER"));
pub const HOSTILE_ENRICHER: &[u8] = include_bytes!(env!("KULTA_FIXTURE_HOSTILE_ENRICHER"));
pub const HOSTILE_STEP: &[u8] = include_bytes!(env!("KULTA_FIXTURE_HOSTILE_STEP"));
/// A step that repeats a request until the answer is positive.
pub const GATE: &[u8] = include_bytes!(env!("KULTA_FIXTURE_GATE"));
/// The built-in strategy.
pub const LINEAR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/linear.wasm"));
/// The built-in analyzer.
pub const WEB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/web.wasm"));

/// The same component with another digest: a custom section contains the note. A note has at most 100 bytes.
#[must_use]
pub fn noted(component: &[u8], note: &str) -> Vec<u8> {
    const CUSTOM_SECTION: u8 = 0;
    const NAME: &[u8] = b"note";
    let mut noted = component.to_vec();
    let length = |bytes: usize| u8::try_from(bytes).unwrap_or(u8::MAX);
    noted.extend([CUSTOM_SECTION, length(1 + NAME.len() + note.len()), length(NAME.len())]);
    noted.extend(NAME);
    noted.extend(note.bytes());
    noted
}
