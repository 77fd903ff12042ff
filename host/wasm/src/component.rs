//! From bytes to a component that may be called: its size, what it imports, what it is.

use crate::error::{LoadError, shortened};
use crate::plugin::Kind;
use crate::runtime::{CallState, Runtime};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};

/// The only import with functions in it. Its version is the linker's to judge.
const LOG: &str = "kulta:plugin/log";

/// Compiles: milliseconds to seconds of pure computing, so call it on a thread for blocking work.
pub(crate) fn compile(runtime: &Runtime, kind: Kind, bytes: &[u8]) -> Result<InstancePre<CallState>, LoadError> {
    let limit = runtime.limits.component_bytes;
    if bytes.len() > limit {
        return Err(LoadError::TooLarge { bytes: bytes.len(), limit });
    }
    let component = Component::from_binary(&runtime.engine, bytes)
        .map_err(|error| LoadError::NotAComponent(shortened(format!("{error:#}"))))?;
    let forbidden = forbidden_imports(&runtime.engine, &component);
    if !forbidden.is_empty() {
        return Err(LoadError::ForbiddenImports(forbidden));
    }
    let exports = exports(&runtime.engine, &component);
    if !exports.iter().any(|name| unversioned(name) == kind.interface()) {
        return Err(LoadError::WrongKind { wanted: kind, exports });
    }
    runtime.linker.instantiate_pre(&component).map_err(|error| LoadError::Incompatible(shortened(format!("{error:#}"))))
}

/// `sha256:` and hex, as registries write it.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn forbidden_imports(engine: &Engine, component: &Component) -> Vec<String> {
    component
        .component_type()
        .imports(engine)
        .filter(|(name, import)| unversioned(name) != LOG && !is_only_types(engine, &import.ty))
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn exports(engine: &Engine, component: &Component) -> Vec<String> {
    component.component_type().exports(engine).map(|(name, _)| name.to_owned()).collect()
}

/// Types hold no function and so no right.
fn is_only_types(engine: &Engine, item: &ComponentItem) -> bool {
    match item {
        ComponentItem::Type(_) => true,
        ComponentItem::ComponentInstance(instance) => {
            instance.exports(engine).all(|(_, export)| matches!(export.ty, ComponentItem::Type(_)))
        }
        _ => false,
    }
}

fn unversioned(name: &str) -> &str {
    name.split_once('@').map_or(name, |(name, _)| name)
}
