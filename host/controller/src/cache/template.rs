//! AnalysisTemplates and ClusterAnalysisTemplates, whose specs are the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use kulta_api::analysis::AnalysisTemplateSpec;
use kulta_api::{FieldError, decode_as};
use serde_json::Value;

use super::kind::stored_in;
use super::plugin_references::{PluginName, changed_references, plugins_of_template};
use super::{CachedKind, ChangeSet, Contents, Scope, Selection, Store};
use crate::key::Key;
use crate::kinds::Kind;
use crate::object::{Object, text, version};

#[derive(Clone, Debug)]
pub struct CachedTemplate {
    pub version: u64,
    /// The error says why it cannot be read.
    pub spec: Result<Arc<AnalysisTemplateSpec>, FieldError>,
    /// The analyzers that it names.
    pub plugins: BTreeSet<PluginName>,
}

fn template(object: &Object) -> CachedTemplate {
    #[derive(serde::Deserialize)]
    struct Template {
        #[serde(default)]
        spec: AnalysisTemplateSpec,
    }
    let spec = decode_as::<Template>(&object.json).map(|template| Arc::new(template.spec));
    let metadata = object.json.get("metadata").unwrap_or(&Value::Null);
    let version = version(text(metadata, "resourceVersion"));
    CachedTemplate { version, plugins: spec.as_ref().map(|spec| plugins_of_template(spec)).unwrap_or_default(), spec }
}

fn changes(rollouts: BTreeSet<Key>, before: Option<&BTreeSet<PluginName>>, after: &BTreeSet<PluginName>) -> ChangeSet {
    let none = BTreeSet::new();
    let plugin_references = changed_references(before.map(|before| (before, &none)), (after, &none));
    ChangeSet { rollouts, plugin_references, ..ChangeSet::default() }
}

pub struct AnalysisTemplates;

impl CachedKind for AnalysisTemplates {
    const KIND: Kind = Kind::AnalysisTemplate;
    const OPTIONAL: bool = true;
    const SELECTION: Selection = Selection::All;

    stored_in!(templates, CachedTemplate);

    fn decode(object: Object) -> CachedTemplate {
        template(&object)
    }

    fn set(contents: &mut Contents, key: Key, template: CachedTemplate) -> ChangeSet {
        let plugins = template.plugins.clone();
        let before = contents.templates.set(key.clone(), template);
        let before = before.map(|before| before.plugins);
        changes(contents.rollouts_with_analyses(Some(key.namespace.as_str())), before.as_ref(), &plugins)
    }

    fn remove(contents: &mut Contents, key: &Key) -> ChangeSet {
        let before = contents.templates.remove(key).map(|before| before.plugins);
        changes(contents.rollouts_with_analyses(Some(key.namespace.as_str())), before.as_ref(), &BTreeSet::new())
    }

    fn rollouts_of_watch(contents: &Contents, _: &Scope) -> BTreeSet<Key> {
        contents.rollouts_with_analyses(None)
    }
}

pub struct ClusterAnalysisTemplates;

impl CachedKind for ClusterAnalysisTemplates {
    const KIND: Kind = Kind::ClusterAnalysisTemplate;
    const OPTIONAL: bool = true;
    const SELECTION: Selection = Selection::All;

    stored_in!(cluster_templates, CachedTemplate);

    fn decode(object: Object) -> CachedTemplate {
        template(&object)
    }

    fn set(contents: &mut Contents, key: Key, template: CachedTemplate) -> ChangeSet {
        let plugins = template.plugins.clone();
        let before = contents.cluster_templates.set(key.clone(), template);
        let before = before.map(|before| before.plugins);
        changes(contents.rollouts_with_analyses(None), before.as_ref(), &plugins)
    }

    fn remove(contents: &mut Contents, key: &Key) -> ChangeSet {
        let before = contents.cluster_templates.remove(key).map(|before| before.plugins);
        changes(contents.rollouts_with_analyses(None), before.as_ref(), &BTreeSet::new())
    }

    fn rollouts_of_watch(contents: &Contents, _: &Scope) -> BTreeSet<Key> {
        contents.rollouts_with_analyses(None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_of_both_kinds_are_read() {
        let cached = template(&Object::new(json!({ "spec": { "metrics": [{ "name": "errors" }] } })));

        assert_eq!(cached.spec.map(|spec| spec.metrics.len()), Ok(1));
    }
}
