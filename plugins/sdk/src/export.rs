//! Exports a type as a component.

/// Exports the type as the component's plugin of that kind: `strategy`, `analyzer`, `enricher`, `step` or `condition`.
/// Use it once per crate. In a native build it does nothing, so that the crate can be tested like any other.
///
/// ```
/// # use kulta_plugin::{About, Condition, Error};
/// struct Always;
///
/// impl Condition for Always {
///     const ABOUT: About = About { name: "always", version: "0.1.0", summary: "Holds for every value" };
///
///     fn evaluate(_expression: &str, _value: &str) -> Result<bool, Error> {
///         Ok(true)
///     }
/// }
///
/// kulta_plugin::export!(condition: Always);
/// ```
///
/// The type must implement the kind's trait, also in a native build:
///
/// ```compile_fail
/// struct Nothing;
///
/// kulta_plugin::export!(step: Nothing);
/// ```
#[macro_export]
macro_rules! export {
    (strategy: $plugin:ty) => {
        $crate::export!(@world strategy, $crate::Exported<$plugin>, $plugin: $crate::Strategy);
    };
    (analyzer: $plugin:ty) => {
        $crate::export!(@world analyzer, $crate::analyzer::Exported<$plugin>, $plugin: $crate::Analyzer);
    };
    (enricher: $plugin:ty) => {
        $crate::export!(@world enricher, $crate::enricher::Exported<$plugin>, $plugin: $crate::Enricher);
    };
    (step: $plugin:ty) => {
        $crate::export!(@world step, $crate::step::Exported<$plugin>, $plugin: $crate::Step);
    };
    (condition: $plugin:ty) => {
        $crate::export!(@world condition, $crate::condition::Exported<$plugin>, $plugin: $crate::Condition);
    };
    (@world $world:ident, $exported:ty, $plugin:ty: $kind:path) => {
        const _: fn() = || {
            fn is_of_its_kind<T: $kind>() {}
            is_of_its_kind::<$plugin>();
        };
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Component = $exported;
            $crate::bindings::export!(Component with_types_in $crate::bindings);
            $crate::bindings::$world::export!(Component with_types_in $crate::bindings::$world);
        };
    };
}
