//! A loaded component as one of its kinds.

/// Defines the type for calls of one kind of component: the component and its typed exports.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $pre:ident, $kind:expr) => {
        $(#[$doc])*
        pub struct $name {
            plugin: ::std::sync::Arc<$crate::plugin::Plugin>,
            pre: $pre<$crate::runtime::CallState>,
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                self.plugin.fmt(f)
            }
        }

        impl ::std::ops::Deref for $name {
            type Target = $crate::plugin::Plugin;

            fn deref(&self) -> &$crate::plugin::Plugin {
                &self.plugin
            }
        }

        impl $crate::loaded::Handle for $name {
            const KIND: $crate::plugin::Kind = $kind;

            fn new(
                plugin: ::std::sync::Arc<$crate::plugin::Plugin>,
                instance: ::wasmtime::component::InstancePre<$crate::runtime::CallState>,
            ) -> Result<Self, $crate::error::LoadError> {
                let pre = $pre::new(instance).map_err(|error| $crate::plugin::incompatible(&error))?;
                Ok(Self { plugin, pre })
            }
        }
    };
}

pub(crate) use handle;
