//! The description of a plugin, the same for all kinds.

use crate::bindings::exports::kulta::plugin::plugin::Info;
use crate::{About, config};
use schemars::JsonSchema;

pub(crate) fn info<T: JsonSchema>(about: About) -> Info {
    Info {
        name: about.name.into(),
        version: about.version.into(),
        summary: about.summary.into(),
        config_schema: config::schema::<T>(),
    }
}

/// The exported interface `plugin` for a kind whose trait has `ABOUT`, `Config` and `check_config`.
macro_rules! describe {
    ($kind:ident) => {
        impl<T: $kind> $crate::bindings::exports::kulta::plugin::plugin::Guest for Exported<T> {
            fn describe() -> $crate::bindings::exports::kulta::plugin::plugin::Info {
                $crate::description::info::<T::Config>(T::ABOUT)
            }

            fn check_config(config: String) -> Result<(), $crate::Error> {
                $crate::config::parse(&config).and_then(|config| T::check_config(&config)).map_err($crate::text::brief)
            }
        }
    };
}

pub(crate) use describe;
