//! Validates a component before it is compiled: its size, its imports and its kinds.

use crate::error::{LoadError, shortened};
use crate::plugin::Kind;
use crate::runtime::{CallState, Runtime};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};

/// The only allowed import that has functions. The linker checks its version.
const LOG: &str = "kulta:plugin/log";

/// The kinds of a component, known before any of it has run.
pub(crate) struct Checked {
    pub(crate) instance: InstancePre<CallState>,
    /// At least one.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

/// Rejects a component with imports that are not allowed.
pub(crate) fn check(runtime: &Runtime, component: &Component) -> Result<Checked, LoadError> {
    let forbidden = forbidden_imports(&runtime.engine, component);
    if !forbidden.is_empty() {
        return Err(LoadError::ForbiddenImports(forbidden));
    }
    let exports = exports(&runtime.engine, component);
    let kinds: Vec<Kind> =
        Kind::ALL.into_iter().filter(|kind| exports.iter().any(|name| unversioned(name) == kind.interface())).collect();
    if kinds.is_empty() {
        return Err(LoadError::NoKind { exports });
    }
    let instance = runtime
        .linker
        .instantiate_pre(component)
        .map_err(|error| LoadError::Incompatible(shortened(format!("{error:#}"))))?;
    let imports = component.component_type().imports(&runtime.engine).map(|(name, _)| name.to_owned()).collect();
    Ok(Checked { instance, kinds, imports, exports })
}

/// `sha256:` and hex, as registries write it.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex_digest(bytes))
}

pub(crate) fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
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

/// Types contain no function and so give no permission.
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
