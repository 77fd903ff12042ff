//! Wasmtime's bindings for the WIT package: one module for each world, with shared types. Generated code: lints for
//! hand-written code do not apply.
#![allow(clippy::all, clippy::restriction, missing_docs)]

/// The interface that every kind of plugin has.
pub mod any {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        inline: "
            package kulta:host;
            world any-plugin { import kulta:plugin/log@0.1.0; export kulta:plugin/plugin@0.1.0; }
        ",
        exports: { default: async },
        // Equality for tests, serde for recorded decisions.
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}

pub mod strategy {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        world: "kulta:plugin/strategy-plugin",
        exports: { default: async },
        with: {
            "kulta:plugin/types@0.1.0": crate::bindings::any::kulta::plugin::types,
            "kulta:plugin/log@0.1.0": crate::bindings::any::kulta::plugin::log,
        },
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}

pub mod analyzer {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        world: "kulta:plugin/analyzer-plugin",
        exports: { default: async },
        with: {
            "kulta:plugin/types@0.1.0": crate::bindings::any::kulta::plugin::types,
            "kulta:plugin/log@0.1.0": crate::bindings::any::kulta::plugin::log,
        },
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}

pub mod condition {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        world: "kulta:plugin/condition-plugin",
        exports: { default: async },
        with: {
            "kulta:plugin/types@0.1.0": crate::bindings::any::kulta::plugin::types,
            "kulta:plugin/log@0.1.0": crate::bindings::any::kulta::plugin::log,
        },
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}

pub mod enricher {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        world: "kulta:plugin/enricher-plugin",
        exports: { default: async },
        with: {
            "kulta:plugin/types@0.1.0": crate::bindings::any::kulta::plugin::types,
            "kulta:plugin/log@0.1.0": crate::bindings::any::kulta::plugin::log,
            "kulta:plugin/fetch@0.1.0": crate::bindings::analyzer::kulta::plugin::fetch,
        },
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}

pub mod step {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        world: "kulta:plugin/step-plugin",
        exports: { default: async },
        with: {
            "kulta:plugin/types@0.1.0": crate::bindings::any::kulta::plugin::types,
            "kulta:plugin/log@0.1.0": crate::bindings::any::kulta::plugin::log,
            "kulta:plugin/fetch@0.1.0": crate::bindings::analyzer::kulta::plugin::fetch,
        },
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}
