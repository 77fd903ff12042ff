//! `kulta plugin check`: describes a component, its imports and limits, and calls it with unexpected inputs.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use jiff::Timestamp;
use kulta_api::plugin::Limits as PluginLimits;
use kulta_wasm::{Limits, Loaded};
use serde_json::Value;

use super::hostile::{self, Outcome};
use super::json::Json;
use super::load::{self, Component};
use super::table::{bytes, table};

/// The one allowed import that has functions.
const LOG: &str = "kulta:plugin/log@";

/// # Errors
/// If the component or the named configuration is rejected.
pub async fn check(file: &Path, config: Option<&Json>, out: &mut dyn Write) -> Result<ExitCode> {
    let began = Instant::now();
    let Component { bytes: content, loaded } = load::component(file).await?;
    let ready = began.elapsed();
    let outcome = hostile::pass(&loaded, config.map(|config| &config.0), now()).await?;
    let mut rows = description(&loaded);
    let size = format!(
        "{} of at most {}, ready in {ready:.1?}",
        bytes(content.len()),
        bytes(Limits::default().component_bytes)
    );
    rows.push(row("size", size));
    rows.push(row("limits", limits()));
    rows.push(row("config", fields(loaded.config_schema())));
    rows.extend(tried(&outcome));
    out.write_all(table(&rows).as_bytes()).context("print the table")?;
    Ok(if outcome.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Unix milliseconds.
pub fn now() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

fn row(name: &str, text: impl Into<String>) -> Vec<String> {
    vec![name.to_owned(), text.into()]
}

fn description(loaded: &Loaded) -> Vec<Vec<String>> {
    let info = loaded.info();
    let kinds: Vec<_> = loaded.kinds().iter().map(|kind| kind.as_str()).collect();
    let rights = |name: &String| if name.starts_with(LOG) { name.clone() } else { format!("{name} (only types)") };
    let imports: Vec<String> = loaded.imports().iter().map(rights).collect();
    let imports = if imports.is_empty() { "nothing".to_owned() } else { imports.join(", ") };
    vec![
        row("plugin", format!("{} {}: {}", info.name, info.version, info.summary)),
        row("kinds", kinds.join(", ")),
        row("digest", loaded.digest()),
        row("imports", imports),
        row("exports", loaded.exports().join(", ")),
    ]
}

fn limits() -> String {
    let (call, plugin) = (Limits::default(), PluginLimits::default());
    let response = usize::try_from(plugin.response_bytes).unwrap_or(usize::MAX);
    format!(
        "{} and {:?} a call; {} requests, each answer at most {}",
        bytes(call.memory_bytes),
        call.deadline,
        plugin.requests,
        bytes(response)
    )
}

/// The runtime has already validated the schema.
fn fields(schema: &str) -> String {
    let read: Value = serde_json::from_str(schema).unwrap_or_default();
    let required: Vec<_> =
        read.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let fields =
        read.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| {
            if required.contains(&name.as_str()) { name.clone() } else { format!("{name} (optional)") }
        });
    let fields: Vec<String> = fields.collect();
    let size = bytes(schema.len());
    if fields.is_empty() {
        format!("JSON Schema of {size}, names no fields")
    } else {
        format!("{}; JSON Schema of {size}", fields.join(", "))
    }
}

fn tried(outcome: &Outcome) -> Vec<Vec<String>> {
    let with = match &outcome.config {
        Some(config) => format!("with {config}"),
        None => "with {}: no configuration that was generated from the schema is accepted; pass one with --config to check more".to_owned(),
    };
    let time = |at: Option<&Duration>| at.copied().unwrap_or_default();
    let (median, slowest) = (time(outcome.times.get(outcome.times.len() / 2)), time(outcome.times.last()));
    let summary = format!(
        "{} calls: {} answered, {} rejected by the plugin, findings: {}; a fresh instance and a call take {median:.1?}, at most {slowest:.1?}",
        outcome.calls(),
        outcome.answered,
        outcome.refused,
        outcome.findings.len()
    );
    let mut rows = vec![row("hostile", with), row("", summary)];
    let findings =
        outcome.findings.iter().map(|finding| row("finding", format!("{}: {}", finding.case, finding.error)));
    rows.extend(findings);
    rows
}
