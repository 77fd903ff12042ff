//! The built-in plugins, compiled once per process, because compiling them takes longer than a scenario.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use kulta_wasm::{CONDITION_LANGUAGE, Kind, Limits, Plugins};

/// The analyzers that scenarios use.
const ANALYZERS: [&str; 2] = ["datadog", "web"];

/// Returns the plugins that all scenarios share.
///
/// # Errors
/// If a plugin cannot be compiled.
pub fn compiled() -> Result<Arc<Plugins>> {
    static PLUGINS: Mutex<Option<Arc<Plugins>>> = Mutex::new(None);
    let mut compiled = PLUGINS.lock().unwrap_or_else(PoisonError::into_inner);
    let plugins = match compiled.take() {
        Some(plugins) => plugins,
        None => compile()?,
    };
    *compiled = Some(Arc::clone(&plugins));
    Ok(plugins)
}

fn compile() -> Result<Arc<Plugins>> {
    let plugins = Arc::new(Plugins::untimed(Limits::default()).context("start the plugin runtime")?);
    tokio::runtime::Builder::new_current_thread().build().context("create a runtime")?.block_on(async {
        for strategy in plugins.names(Kind::Strategy) {
            plugins.strategy(&strategy).await.with_context(|| format!("compile the strategy {strategy}"))?;
        }
        for analyzer in ANALYZERS {
            plugins.analyzer(analyzer).await.with_context(|| format!("compile the analyzer {analyzer}"))?;
        }
        plugins.condition(CONDITION_LANGUAGE).await.context("compile the condition language")?;
        for enricher in plugins.names(Kind::Enricher) {
            plugins.enricher(&enricher).await.with_context(|| format!("compile the enricher {enricher}"))?;
        }
        Ok(Arc::clone(&plugins))
    })
}
