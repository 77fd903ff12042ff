//! What wit-bindgen makes of the WIT package. Its code is generated: lints for hand-written code don't apply.
#![allow(clippy::all, clippy::restriction, missing_docs, rust_2018_idioms)]

wit_bindgen::generate!({
    path: "../../wit/0.1.0",
    world: "strategy-plugin",
    pub_export_macro: true,
    export_macro_name: "export",
    default_bindings_module: "kulta_plugin::bindings",
    runtime_path: "::kulta_plugin::wit_bindgen::rt",
    // Equality for tests, serde for recorded situations.
    additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
});
