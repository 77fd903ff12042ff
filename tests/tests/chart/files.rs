//! The files of the chart, without helm.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, ensure};
use kulta_tests::{helm, run_folder};
use serde_json::Value;

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

pub fn values() -> Result<Value> {
    serde_yaml::from_str(&read(&helm::chart().join("values.yaml"))?).context("read values.yaml")
}

pub fn schema() -> Result<Value> {
    serde_json::from_str(&read(&helm::chart().join("values.schema.json"))?).context("read values.schema.json")
}

/// The paths of all values: those that have no closed set of fields below them in the schema.
pub fn paths(schema: &Value) -> BTreeSet<String> {
    fn descend(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        let fields = schema.get("properties").and_then(Value::as_object);
        match fields.filter(|_| schema.get("additionalProperties") == Some(&Value::Bool(false))) {
            Some(fields) => {
                for (name, field) in fields {
                    descend(field, &format!("{path}/{name}"), found);
                }
            }
            None => drop(found.insert(path.to_owned())),
        }
    }
    let mut found = BTreeSet::new();
    descend(schema, "", &mut found);
    // Helm adds it to the values of a dependency.
    found.remove("/global");
    found
}

#[test]
fn the_chart_has_the_version_of_the_workspace() -> Result<()> {
    let chart: Value = serde_yaml::from_str(&read(&helm::chart().join("Chart.yaml"))?)?;

    let version = env!("CARGO_PKG_VERSION");
    for field in ["version", "appVersion"] {
        ensure!(chart[field] == version, "{field} is {}, not {version}: make manifests", chart[field]);
    }
    Ok(())
}

#[test]
fn the_charts_crds_are_copies_of_the_shipped_ones() -> Result<()> {
    let files = |folder: &Path| -> Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
            let path = entry?.path();
            found.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), read(&path)?));
        }
        found.sort();
        Ok(found)
    };

    let (shipped, copies) = (files(&run_folder::repository().join("crds"))?, files(&helm::chart().join("files/crds"))?);

    ensure!(!shipped.is_empty() && shipped == copies, "deploy/chart/files/crds is stale: make manifests");
    Ok(())
}

#[test]
fn the_default_values_satisfy_the_schema() -> Result<()> {
    let schema = jsonschema::validator_for(&schema()?).context("use the schema")?;

    let errors: Vec<String> = schema.iter_errors(&values()?).map(|error| error.to_string()).collect();

    ensure!(errors.is_empty(), "{errors:?}");
    Ok(())
}

#[test]
fn every_value_of_the_schema_has_a_default() -> Result<()> {
    let (schema, values) = (schema()?, values()?);

    let missing: Vec<String> = paths(&schema).into_iter().filter(|path| values.pointer(path).is_none()).collect();

    ensure!(missing.is_empty(), "values.yaml lacks {missing:?}");
    Ok(())
}

/// The lines of values.yaml that set a value: the value's path, and the line above.
fn lines(yaml: &str) -> Vec<(String, String)> {
    let (mut parents, mut above, mut found) = (Vec::<(usize, String)>::new(), "", Vec::new());
    for line in yaml.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let key = text.split_once(':').map(|(key, _)| key).filter(|key| key.chars().all(char::is_alphanumeric));
        if let Some(key) = key {
            parents.retain(|(parent, _)| *parent < indent);
            parents.push((indent, key.to_owned()));
            let path: String = parents.iter().map(|(_, key)| format!("/{key}")).collect();
            found.push((path, above.trim_start().to_owned()));
        }
        above = line;
    }
    found
}

#[test]
fn every_value_has_a_comment() -> Result<()> {
    let lines = lines(&read(&helm::chart().join("values.yaml"))?);

    for path in paths(&schema()?) {
        let (_, above) =
            lines.iter().find(|(known, _)| *known == path).with_context(|| format!("no line for {path}"))?;
        ensure!(above.starts_with("# "), "{path} has no comment");
    }
    Ok(())
}
