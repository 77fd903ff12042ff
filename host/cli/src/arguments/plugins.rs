//! Plugins: where they come from, which are trusted, and what their compilation may cost.

use std::path::PathBuf;

use clap::Args;

use super::COMPILE_MEMORY_MIB;
use super::values::{Memory, switch};

#[derive(Args, Debug)]
#[command(next_help_heading = "Plugins")]
pub struct PluginSettings {
    /// Folder for plugins and their compiled code, so that the next start needs no registry and compiles nothing.
    /// Created if it is missing; only this controller may use it. If unset, nothing is stored
    #[arg(long, env = "KULTA_PLUGIN_CACHE", value_name = "FOLDER")]
    pub plugin_cache: Option<PathBuf>,
    /// Memory limit for compiling one plugin, such as 512Mi; each compilation runs in a separate process
    #[arg(long, env = "KULTA_PLUGIN_COMPILE_MEMORY", value_name = "MEMORY",
          default_value_t = Memory::from_mebibytes(COMPILE_MEMORY_MIB))]
    pub plugin_compile_memory: Memory,
    /// Let Plugins name images by tag alone; a tag is resolved once, and the Plugin's status records its digest
    #[arg(long, env = "KULTA_PLUGIN_ALLOW_TAGS", value_name = "BOOL", num_args = 0..=1, default_value_t = false,
          default_missing_value = "true", value_parser = switch)]
    pub plugin_allow_tags: bool,
    /// PEM file with public keys, such as cosign.pub: only images that one of these keys has signed are served as
    /// Plugins. If unset, no signature is required
    #[arg(long, env = "KULTA_PLUGIN_TRUSTED_KEYS", value_name = "FILE")]
    pub plugin_trusted_keys: Option<PathBuf>,
    /// Registries to use http for instead of https, comma separated, such as localhost:5000
    #[arg(long, env = "KULTA_PLUGIN_HTTP_REGISTRIES", value_delimiter = ',', value_name = "REGISTRIES")]
    pub plugin_http_registries: Vec<String>,
    /// PEM file with CA certificates for registries, in addition to the platform's
    #[arg(long, env = "KULTA_PLUGIN_REGISTRY_CA", value_name = "FILE")]
    pub plugin_registry_ca: Option<PathBuf>,
}
