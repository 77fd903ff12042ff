//! The analyzers that are served, and whether a metric's configuration is one that they take.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use kulta_api::FieldError;
use kulta_api::analysis::Metric;
use kulta_api::validation::Path;
use kulta_api::validation::analysis::template_warnings;
use kulta_core::analysis::{Configuration, at_provider, conditions, paths_where};
use kulta_core::observed::{Analyzer, Observed};
use kulta_fetch::Secrets;
use kulta_wasm::{AnalyzerPlugin, CONDITION_LANGUAGE, CallError, CheckError, ConfigError, Kind, Report};
use serde_json::Value;

use super::job;
use crate::plugins::{Catalog, Choice, Pin, dotted};

/// Checked configurations that are remembered; beyond that the memory starts anew.
const CHECKED_AT_MOST: usize = 10_000;
/// Analyzers that measure and leave the judging to the metric's conditions. A plugin of somebody else's may judge.
const MEASURING: [&str; 2] = ["prometheus", "web"];

/// Providers of Argo Rollouts that are plugins here. Argo's CRD drops the fields of a provider that it does not know, and the metric runs.
const PRUNED: [&str; 2] = ["prometheus", "web"];

/// Stands for a measured value where only the condition is asked about.
const ANY_VALUE: &str = "null";

type Complaints = Arc<Vec<Complaint>>;

/// What an analyzer is configured with: the user's fields over those of its Plugin object, and of a provider of Argo Rollouts none that it
/// does not have.
#[must_use]
pub fn configured(name: &str, choice: &Choice<AnalyzerPlugin>, config: &Value) -> Value {
    let config = choice.terms.configured(config);
    if PRUNED.contains(&name) { choice.plugin.prune_config(&config).0 } else { config }
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Of the field, in the configuration; empty for the whole of it.
    pub path: String,
    pub message: String,
}

impl Complaint {
    /// Told for a configuration that stands at this path.
    fn at(&self, path: &Path, message: String) -> FieldError {
        FieldError { path: format!("{}{}", path.as_str(), dotted(&self.path)), message }
    }
}

pub struct Analyzers {
    catalog: Arc<Catalog>,
    /// What `check-config` said, by analyzer, its component and the configuration: it is a pure function.
    checked: Mutex<HashMap<(String, String, String), Complaints>>,
    /// Why a condition can hold for no value, by the language, its component and the condition.
    conditions: Mutex<HashMap<(String, String, String), Option<String>>>,
}

impl Analyzers {
    #[must_use]
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog, checked: Mutex::default(), conditions: Mutex::default() }
    }

    /// In alphabetical order.
    #[must_use]
    pub fn served(&self) -> Vec<Analyzer> {
        let brought = self.catalog.names(Kind::Analyzer).into_iter().map(|name| {
            let pin = self.catalog.pin(Kind::Analyzer, &name);
            let needs_condition = pin == Some(Pin::BuiltIn) && MEASURING.contains(&name.as_str());
            Analyzer { needs_condition, pin: pin.map(|pin| pin.to_string()), name }
        });
        let own = Analyzer { name: job::PROVIDER.to_owned(), pin: None, needs_condition: false };
        let mut all: Vec<_> = brought.chain([own]).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// What the analyzers find wrong with a run's metrics, each with its path. An analyzer that cannot be asked finds nothing: measuring
    /// will tell.
    pub async fn check(
        &self,
        metrics: &[Metric],
        secrets: &Secrets,
        pins: &BTreeMap<String, String>,
    ) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (index, metric) in metrics.iter().enumerate() {
            let path = Path::new("spec").field("metrics").index(index);
            for (field, condition) in conditions(metric) {
                let fault = self.condition_fault(condition).await;
                errors.extend(fault.map(|fault| path.field(field).error(fault)));
            }
            let Some((path, name, config)) = at_provider(&metric.provider, &path.field("provider")) else { continue };
            let complaints = if name == job::PROVIDER {
                let secrets = job::shown_secrets(paths_where(config, |text| secrets.is_in(text)));
                Arc::new([job::complaints(config), secrets].concat())
            } else {
                let pin = pins.get(name).and_then(|pin| Pin::read(pin));
                self.complaints(name, pin.as_ref(), config, secrets.is_empty()).await
            };
            let told = complaints.iter().map(|complaint| complaint.at(&path, complaint.message.clone()));
            errors.extend(told);
        }
        errors
    }

    /// The same of templates, before a run is made of them: of what arguments leave open nothing is said.
    pub async fn check_templates(&self, configurations: &[Configuration]) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for one in configurations {
            let (complaints, secrets) = if one.analyzer == job::PROVIDER {
                (Arc::new(job::complaints(&one.config)), job::shown_secrets(one.secret_paths()))
            } else {
                (self.complaints(&one.analyzer, None, &one.config, true).await, Vec::new())
            };
            let known = complaints.iter().filter(|complaint| one.is_known(&complaint.path)).chain(&secrets);
            errors
                .extend(known.map(|known| known.at(&one.path, format!("metric {:?}: {}", one.metric, known.message))));
        }
        errors
    }

    /// The conditions of templates that can hold for no value; of what arguments leave open nothing is said.
    pub async fn check_conditions(&self, configurations: &[Configuration]) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for one in configurations {
            for (field, condition) in one.conditions.iter().filter(|(_, text)| Configuration::is_known_text(text)) {
                let fault = self.condition_fault(condition).await;
                let told =
                    |fault| one.at.field(field).error(format!("metric {:?}: {condition:?}: {fault}", one.metric));
                errors.extend(fault.map(told));
            }
        }
        errors
    }

    /// What looks wrong with the templates of a rollout and runs all the same, as in Argo Rollouts.
    pub async fn template_warnings(&self, observed: &Observed, configurations: &[Configuration]) -> Vec<FieldError> {
        let mut warnings = Vec::new();
        for (template, spec) in &observed.templates {
            let Ok(spec) = spec else { continue };
            let told = |warning: FieldError| FieldError { path: format!("{template} {}", warning.path), ..warning };
            warnings.extend(template_warnings(spec).into_iter().map(told));
        }
        for one in configurations.iter().filter(|one| PRUNED.contains(&one.analyzer.as_str())) {
            let Ok(choice) = self.catalog.analyzer(&one.analyzer, None).await else { continue };
            let (_, unknown) = choice.plugin.prune_config(&one.config);
            let message = format!("metric {:?}: is no field of this provider: it has no effect", one.metric);
            let told = |path: String| FieldError {
                path: format!("{}{}", one.path.as_str(), dotted(&path)),
                message: message.clone(),
            };
            warnings.extend(unknown.into_iter().map(told));
        }
        warnings
    }

    /// Why a condition can hold for no value. The language tells that whatever value it is asked about.
    async fn condition_fault(&self, condition: &str) -> Option<String> {
        let language = self.catalog.condition(CONDITION_LANGUAGE, None).await.ok()?;
        let question = (CONDITION_LANGUAGE.to_owned(), language.pin.to_string(), condition.to_owned());
        let known = self.conditions.lock().unwrap_or_else(PoisonError::into_inner).get(&question).cloned();
        if let Some(known) = known {
            return known;
        }
        let fault = match language.plugin.evaluate(condition, condition, ANY_VALUE).await {
            Err(CallError::Reported(Report::InvalidConfig(fault))) => Some(fault),
            // A condition that traps or does not come to an end would do so at each reconciliation: its measurement tells.
            Ok(_) | Err(_) => None,
        };
        let mut all = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= CHECKED_AT_MOST {
            all.clear();
        }
        all.insert(question, fault.clone());
        fault
    }

    /// A configuration with placeholders of secrets never comes again: it is not remembered.
    async fn complaints(&self, name: &str, pin: Option<&Pin>, config: &Value, remember: bool) -> Complaints {
        let Ok(choice) = self.catalog.analyzer(name, pin).await else { return Complaints::default() };
        let config = configured(name, &choice, config);
        let question = (name.to_owned(), choice.pin.to_string(), config.to_string());
        let known = self.checked.lock().unwrap_or_else(PoisonError::into_inner).get(&question).cloned();
        if let Some(known) = known {
            return known;
        }
        let complaints = match choice.plugin.check_config(&config).await {
            Ok(()) => Complaints::default(),
            Err(CheckError::Invalid(errors)) => {
                let complaint = |error: ConfigError| Complaint { path: error.path, message: error.message };
                Arc::new(errors.into_iter().map(complaint).collect())
            }
            Err(CheckError::Call(_)) => return Complaints::default(),
        };
        if !remember {
            return complaints;
        }
        let mut all = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= CHECKED_AT_MOST {
            all.clear();
        }
        all.insert(question, Arc::clone(&complaints));
        complaints
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kulta_wasm::{Limits, Plugins};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_condition_that_can_hold_for_no_value_is_found_before_anything_is_measured() {
        let analyzers = Analyzers::new(Arc::new(Catalog::new(Arc::new(Plugins::new(Limits::default()).unwrap()))));
        let conditions = ["result[0] >", "result[0] > 1", "nope(result)"].map(|text| ("successCondition", text.into()));
        let at = Path::new("spec.metrics[0]");
        let (metric, analyzer, config) = ("m".to_owned(), "web".to_owned(), json!({}));
        let one = Configuration { path: at.clone(), metric, analyzer, config, at, conditions: conditions.into() };

        let errors = analyzers.check_conditions(&[one]).await;

        let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("spec.metrics[0].successCondition: metric \"m\""), "{}", told[0]);
        assert!(told[0].contains("not an expression at 1:12"), "{}", told[0]);
        assert!(told[1].contains("unknown name nope"), "{}", told[1]);
    }

    #[tokio::test]
    async fn a_condition_that_does_not_come_to_an_end_is_tried_once() {
        let limits = Limits { deadline: Duration::from_millis(50), ..Limits::default() };
        let analyzers = Analyzers::new(Arc::new(Catalog::new(Arc::new(Plugins::new(limits).unwrap()))));
        let endless = "let l = 1..1000; all(l, {all(l, {all(l, {all(l, {true})})})})";

        let fault = analyzers.condition_fault(endless).await;

        assert_eq!((fault, analyzers.conditions.lock().unwrap().len()), (None, 1));
    }
}
