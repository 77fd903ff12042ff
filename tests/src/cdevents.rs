//! Validates events against the JSON Schemas of the CDEvents specification.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use jsonschema::{Registry, Validator};
use serde_json::Value;

use crate::run_folder;

const CUSTOM: &str = "dev.cdeventsx.";

/// One validator per event type, and one for custom events.
pub struct Schemas {
    by_type: BTreeMap<String, Validator>,
    custom: Validator,
}

impl Schemas {
    /// From `$CDEVENTS_SCHEMAS`, or the folder next to the checkout.
    pub fn load() -> Result<Self> {
        Self::from(&folder())
    }

    /// `folder` contains `schemas/*.json`, `schemas/links/*.json` and `custom/schema.json`.
    pub fn from(folder: &Path) -> Result<Self> {
        let events = read_all(&folder.join("schemas"))?;
        let links = read_all(&folder.join("schemas/links"))?;
        let custom = read(&folder.join("custom/schema.json"))?;
        let mut registry = Registry::new();
        for schema in &links {
            let id = schema.get("$id").and_then(Value::as_str).context("a link schema has no $id")?;
            registry = registry.add(id, schema).with_context(|| format!("take in the schema {id}"))?;
        }
        let registry = registry.prepare().context("resolve the schemas of links")?;
        let compile = |schema: &Value| -> Result<Validator> {
            let options = jsonschema::options().should_validate_formats(true);
            let id = schema.get("$id").and_then(Value::as_str).unwrap_or("a schema without $id");
            let built = options.with_registry(&registry).build(schema);
            built.map_err(|error| anyhow::anyhow!("the schema {id} can't be used: {error}"))
        };
        let mut by_type = BTreeMap::new();
        for schema in &events {
            let kinds = schema.pointer("/properties/context/properties/type/enum").and_then(Value::as_array);
            let kind =
                kinds.and_then(|all| all.first()).and_then(Value::as_str).context("an event schema names no type")?;
            by_type.insert(kind.to_owned(), compile(schema)?);
        }
        ensure!(!by_type.is_empty(), "no schema in {}", folder.display());
        Ok(Self { by_type, custom: compile(&custom)? })
    }

    /// All violations of an event (context, subject and customData, as on the wire), in one error.
    pub fn check(&self, event: &Value) -> Result<()> {
        let kind = event.pointer("/context/type").and_then(Value::as_str).context("the event has no context.type")?;
        let validator = match self.by_type.get(kind) {
            Some(validator) => validator,
            None if kind.starts_with(CUSTOM) => &self.custom,
            None => bail!("{kind} is no event type of this version of CDEvents"),
        };
        let wrong: Vec<String> =
            validator.iter_errors(event).map(|error| format!("{}: {error}", error.instance_path())).collect();
        ensure!(wrong.is_empty(), "{kind}: {}", wrong.join("; "));
        Ok(())
    }
}

/// The folder of the schemas and of the specification's own examples (`conformance/`).
pub fn folder() -> PathBuf {
    env::var_os("CDEVENTS_SCHEMAS").map_or_else(|| run_folder::repository().join("../shared/cdevents"), PathBuf::from)
}

fn read_all(folder: &Path) -> Result<Vec<Value>> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("list {} (CDEVENTS_SCHEMAS names another folder)", folder.display()))?;
    let mut schemas = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            schemas.push(read(&path)?);
        }
    }
    Ok(schemas)
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("read {} as JSON", path.display()))
}
