//! The CustomResourceDefinitions of `kulta crds`. They accept everything that Argo Rollouts' own accept, so that
//! existing manifests still apply; all other checks are in validation.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use kube::CustomResourceExt;

use crate::analysis::{AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate};
use crate::experiment::Experiment;
use crate::plugin::Plugin;
use crate::rollout::Rollout;

const HEADER: &str = "# Written by `kulta crds`; changes belong in host/api.\n";
/// Separator of YAML documents.
const DOCUMENT: &str = "---\n";
/// Formats that the API server checks and that Argo's schema has too; schemars' formats for Rust's numbers are dropped.
const KEPT_FORMATS: [&str; 3] = ["int32", "int64", "date-time"];
/// The only field with a meaning of null: `pause: null` is an indefinite pause if the client sends it (kubectl's
/// client-side apply drops nulls). In other fields the API server drops a null, as with Argo's schema.
const NULLABLE_FIELD: &str = "pause";
const IMMUTABLE_FIELD: &str = "selector";

/// The kinds whose CRDs KULTA ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Rollout,
    AnalysisTemplate,
    ClusterAnalysisTemplate,
    AnalysisRun,
    /// Stored and not run: Argo's kubectl plugin lists the kind, and waits forever if it is not defined.
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
                    // The status is kept too, as another controller writes it.
                    Self::Experiment => schema.x_kubernetes_preserve_unknown_fields = Some(true),
                    Self::AnalysisTemplate | Self::ClusterAnalysisTemplate | Self::AnalysisRun | Self::Plugin => {}
                }
            }
        }
        crd
    }

    /// Name of the file below `crds/`.
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
    /// If the definition cannot be written as YAML.
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
/// If a definition cannot be written as YAML.
pub fn crds_yaml() -> Result<String, serde_yaml::Error> {
    Ok(Kind::ALL.into_iter().map(Kind::yaml).collect::<Result<Vec<_>, _>>()?.join(DOCUMENT))
}

/// Removes constraints that schemars derives from Rust's types and that Argo's schema does not have.
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
