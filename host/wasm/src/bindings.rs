//! What wasmtime makes of the WIT package. Generated code: lints for hand-written code don't apply.
#![allow(clippy::all, clippy::restriction, missing_docs)]

wasmtime::component::bindgen!({
    path: "../../wit/0.1.0",
    world: "strategy-plugin",
    exports: { default: async },
    // Equality for tests, serde for recorded decisions.
    additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
});
