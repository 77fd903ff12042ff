//! The bindings of wit-bindgen for the WIT package. The code is generated: lints for hand-written code do not apply.
//!
//! A kind's world in the package is `import log; export plugin; export <kind>`. Here each exported interface has a world of its own,
//! so that the types which kinds share exist once; a plugin exports two of them, and the encoder unites what it finds in the module.
#![allow(clippy::all, clippy::restriction, missing_docs, rust_2018_idioms)]

wit_bindgen::generate!({
    path: "../../wit/0.1.0",
    inline: "package kulta:sdk; world description { import kulta:plugin/log@0.1.0; export kulta:plugin/plugin@0.1.0; }",
    world: "kulta:sdk/description",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export",
    default_bindings_module: "kulta_plugin::bindings",
    runtime_path: "::kulta_plugin::wit_bindgen::rt",
    // Equality for tests, serde for recorded situations.
    additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
});

pub mod strategy {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        inline: "package kulta:sdk; world strategy { export kulta:plugin/strategy@0.1.0; }",
        world: "kulta:sdk/strategy",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "kulta_plugin::bindings::strategy",
        runtime_path: "::kulta_plugin::wit_bindgen::rt",
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        with: { "kulta:plugin/types@0.1.0": crate::bindings::kulta::plugin::types },
    });
}

pub mod analyzer {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        inline: "package kulta:sdk; world analyzer { export kulta:plugin/analyzer@0.1.0; }",
        world: "kulta:sdk/analyzer",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "kulta_plugin::bindings::analyzer",
        runtime_path: "::kulta_plugin::wit_bindgen::rt",
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        with: { "kulta:plugin/types@0.1.0": crate::bindings::kulta::plugin::types },
    });
}

pub mod condition {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        inline: "package kulta:sdk; world condition { export kulta:plugin/condition@0.1.0; }",
        world: "kulta:sdk/condition",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "kulta_plugin::bindings::condition",
        runtime_path: "::kulta_plugin::wit_bindgen::rt",
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        with: { "kulta:plugin/types@0.1.0": crate::bindings::kulta::plugin::types },
    });
}

pub mod enricher {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        inline: "package kulta:sdk; world enricher { export kulta:plugin/enricher@0.1.0; }",
        world: "kulta:sdk/enricher",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "kulta_plugin::bindings::enricher",
        runtime_path: "::kulta_plugin::wit_bindgen::rt",
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        with: {
            "kulta:plugin/types@0.1.0": crate::bindings::kulta::plugin::types,
            "kulta:plugin/fetch@0.1.0": crate::bindings::analyzer::kulta::plugin::fetch,
        },
    });
}

pub mod step {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        inline: "package kulta:sdk; world step { export kulta:plugin/step@0.1.0; }",
        world: "kulta:sdk/step",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "kulta_plugin::bindings::step",
        runtime_path: "::kulta_plugin::wit_bindgen::rt",
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        with: {
            "kulta:plugin/types@0.1.0": crate::bindings::kulta::plugin::types,
            "kulta:plugin/fetch@0.1.0": crate::bindings::analyzer::kulta::plugin::fetch,
        },
    });
}
