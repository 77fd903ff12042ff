//! The plugin runtime of this process, and its compiler: this program in a child process.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use kulta_controller::plugins::ComponentStore;
use kulta_fetch::Proxies;
use kulta_oci::TrustedKeys;
use kulta_wasm::{ChildCompiler, CodeCache, Compiler, Limits, Plugins};

use crate::arguments::{COMPILE_COMMAND, COMPILE_MEMORY_FLAG, CompileArguments, PluginSettings};

/// Below the folder of `--plugin-cache`.
const CODE: &str = "code";
const COMPONENTS: &str = "components";
/// The flag of the controller.
pub const TRUSTED_KEYS_FLAG: &str = "--plugin-trusted-keys";
/// The running program, even if its file has been replaced since.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// A child process with a memory limit compiles components; the compiled code is stored in the folder, if there is one.
///
/// # Errors
/// If there is no runtime, or the folder cannot be used for code.
pub fn start(compile_memory_mib: u32, cache: Option<&Path>) -> Result<Arc<Plugins>> {
    let arguments = vec![COMPILE_COMMAND.to_owned(), format!("--{COMPILE_MEMORY_FLAG}={compile_memory_mib}")];
    let compiler = Compiler::Child(ChildCompiler::new(OWN_PROGRAM.into(), arguments));
    let plugins = Plugins::new(Limits::default()).context("start the plugin runtime")?.with_compiler(compiler);
    let plugins = match cache {
        Some(folder) => plugins.with_cache(CodeCache::open(folder.join(CODE)).context("--plugin-cache")?),
        None => plugins,
    };
    Ok(Arc::new(plugins))
}

/// The store for the components of Plugin objects.
///
/// # Errors
/// If the folder cannot be created.
pub fn components(cache: Option<&Path>) -> Result<Option<ComponentStore>> {
    cache.map(|folder| ComponentStore::open(folder.join(COMPONENTS))).transpose().context("--plugin-cache")
}

/// The client for registries.
///
/// # Errors
/// If the certificates are invalid.
pub fn registries(arguments: &PluginSettings, proxies: &Proxies) -> Result<kulta_oci::Client> {
    let extra_ca = match &arguments.plugin_registry_ca {
        Some(file) => std::fs::read(file).with_context(|| format!("--plugin-registry-ca {}", file.display()))?,
        None => Vec::new(),
    };
    let plain_http = arguments.plugin_http_registries.iter().cloned().collect();
    let proxy = Some(proxies.to_reqwest());
    let settings = kulta_oci::Settings { plain_http, extra_ca, proxy, ..kulta_oci::Settings::default() };
    kulta_oci::Client::new(settings).context("--plugin-registry-ca")
}

/// The trusted signing keys, if signatures are required.
///
/// # Errors
/// If the file cannot be read, or contains no valid keys.
pub fn trusted_keys(flag: &str, file: Option<&Path>) -> Result<Option<TrustedKeys>> {
    let keys = |file: &Path| {
        let pem = std::fs::read(file).map_err(anyhow::Error::new)?;
        TrustedKeys::parse(&pem).map_err(anyhow::Error::new)
    };
    file.map(|file| keys(file).with_context(|| format!("{flag} {}", file.display()))).transpose()
}

/// # Errors
/// If the component cannot be read or the code cannot be written.
pub fn compile(arguments: &CompileArguments) -> Result<ExitCode> {
    kulta_wasm::compile_stdin(u64::from(arguments.memory_mib) << 20).context("compile a component")
}
