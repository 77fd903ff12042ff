//! The CustomResourceDefinitions that `kulta crds` writes. They refuse no more than Argo Rollouts' own do, so that manifests which
//! apply today still apply; everything else is validation's to say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use kube::CustomResourceExt;

use crate::analysis::{AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate};
use crate::experiment::Experiment;
use crate::plugin::Plugin;
use crate::rollout::Rollout;

const HEADER: &str = "# Written by `kulta crds`; changes belong in host/api.\n";
/// Between the YAML documents of one text.
const DOCUMENT: &str = "---\n";
/// Formats that the API server checks and Argo's schema has too; those that schemars makes up for Rust's numbers are dropped.
const KEPT_FORMATS: [&str; 3] = ["int32", "int64", "date-time"];
/// The one field where null says something: `pause: null` pauses for good, where the client sends it (kubectl's client-side apply
/// leaves nulls out). Elsewhere the API server drops a null, as with Argo's schema.
const NULLABLE_FIELD: &str = "pause";
const IMMUTABLE_FIELD: &str = "selector";

/// The kinds whose definitions KULTA ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Rollout,
    AnalysisTemplate,
    ClusterAnalysisTemplate,
    AnalysisRun,
    /// Stored and not run: Argo's kubectl plugin lists the kind, and waits for ever where it is not defined.
    Experiment,
    Plugin,
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::Rollout,
        Self::AnalysisTemplate,
        Self::ClusterAnalysisTemplate,
        Self::AnalysisRun,
        Self::Experiment,
        Self::Plugin,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rollout => "Rollout",
            Self::AnalysisTemplate => "AnalysisTemplate",
            Self::ClusterAnalysisTemplate => "ClusterAnalysisTemplate",
            Self::AnalysisRun => "AnalysisRun",
            Self::Experiment => "Experiment",
            Self::Plugin => "Plugin",
        }
    }

    #[must_use]
    pub fn definition(self) -> CustomResourceDefinition {
        let mut crd = match self {
            Self::Rollout => Rollout::crd(),
            Self::AnalysisTemplate => AnalysisTemplate::crd(),
            Self::ClusterAnalysisTemplate => ClusterAnalysisTemplate::crd(),
            Self::AnalysisRun => AnalysisRun::crd(),
            Self::Experiment => Experiment::crd(),
            Self::Plugin => Plugin::crd(),
        };
        for version in &mut crd.spec.versions {
            if let Some(schema) = version.schema.as_mut().and_then(|validation| validation.open_api_v3_schema.as_mut())
            {
                loosen(schema, "");
                match self {
                    Self::Rollout => guard_selector(schema),
                    // The status too is kept as whoever runs the Experiment writes it.
                    Self::Experiment => schema.x_kubernetes_preserve_unknown_fields = Some(true),
                    Self::AnalysisTemplate | Self::ClusterAnalysisTemplate | Self::AnalysisRun | Self::Plugin => {}
                }
            }
        }
        crd
    }

    /// Where the definition is kept, below `crds/`.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Rollout => "argoproj.io_rollouts.yaml",
            Self::AnalysisTemplate => "argoproj.io_analysistemplates.yaml",
            Self::ClusterAnalysisTemplate => "argoproj.io_clusteranalysistemplates.yaml",
            Self::AnalysisRun => "argoproj.io_analysisruns.yaml",
            Self::Experiment => "argoproj.io_experiments.yaml",
            Self::Plugin => "kulta.io_plugins.yaml",
        }
    }

    /// The text of [`Kind::file`].
    ///
    /// # Errors
    /// When the definition cannot be written as YAML.
    pub fn yaml(self) -> Result<String, serde_yaml::Error> {
        Ok(format!("{HEADER}{}", serde_yaml::to_string(&self.definition())?))
    }
}

/// The Rollout kind.
#[must_use]
pub fn rollout() -> CustomResourceDefinition {
    Kind::Rollout.definition()
}

/// Every kind, as one YAML document each.
///
/// # Errors
/// When a definition cannot be written as YAML.
pub fn crds_yaml() -> Result<String, serde_yaml::Error> {
    Ok(Kind::ALL.into_iter().map(Kind::yaml).collect::<Result<Vec<_>, _>>()?.join(DOCUMENT))
}

/// Takes back what schemars adds from Rust's types and Argo's schema does not ask for.
fn loosen(schema: &mut JSONSchemaProps, name: &str) {
    schema.minimum = None;
    schema.maximum = None;
    schema.enum_ = None;
    schema.default = None;
    if schema.format.as_deref().is_some_and(|format| !KEPT_FORMATS.contains(&format)) {
        schema.format = None;
    }
    schema.nullable = (name == NULLABLE_FIELD).then_some(true);
    for (name, property) in schema.properties.iter_mut().flatten() {
        loosen(property, name);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        loosen(items, "");
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        loosen(values, "");
    }
}

fn guard_selector(schema: &mut JSONSchemaProps) {
    let spec = schema.properties.as_mut().and_then(|properties| properties.get_mut("spec"));
    let selector = spec.and_then(|spec| spec.properties.as_mut()).and_then(|fields| fields.get_mut(IMMUTABLE_FIELD));
    if let Some(selector) = selector {
        selector.x_kubernetes_validations = Some(vec![ValidationRule {
            rule: "self == oldSelf".to_owned(),
            message: Some(".spec.selector is immutable".to_owned()),
            ..ValidationRule::default()
        }]);
    }
}
