//! The analyzers that are served, and whether a metric's configuration is one that they take.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use kulta_api::FieldError;
use kulta_api::analysis::Metric;
use kulta_api::validation::Path;
use kulta_api::validation::analysis::template_warnings;
use kulta_core::analysis::{Configuration, at_provider, conditions, paths_where};
use kulta_core::observed::{Analyzer, Observed};
use kulta_fetch::Secrets;
use kulta_wasm::{AnalyzerPlugin, CONDITION_LANGUAGE, CallError, ConfigError, Kind, Report};
use serde_json::Value;

use super::job;
use crate::plugins::{ConfigCheck, ConfigChecks, ConfigErrors, Pin, PluginHandle, PluginRegistry, dotted};

/// Checked conditions that are remembered; beyond that all of them are forgotten.
const CHECKED_AT_MOST: usize = 10_000;
/// Analyzers that measure and leave the judging to the metric's conditions. A user's own plugin may judge.
const MEASURING: [&str; 8] =
    ["datadog", "graphite", "influxdb", "newRelic", "prometheus", "skywalking", "wavefront", "web"];

/// Providers of Argo Rollouts that are plugins here. Argo's CRD drops the fields of a provider that it does not know, and the metric runs.
const PRUNED: [&str; 8] = MEASURING;

/// The value with which a condition is evaluated when only its syntax matters.
const ANY_VALUE: &str = "null";

/// What an analyzer is configured with: the user's fields over those of its Plugin object. Of a provider of Argo Rollouts the fields that
/// it does not have are left out.
#[must_use]
pub fn configured(name: &str, handle: &PluginHandle<AnalyzerPlugin>, config: &Value) -> Value {
    let config = handle.policy.configured(config);
    if PRUNED.contains(&name) { handle.plugin.prune_config(&config).0 } else { config }
}

/// Says it of a configuration that is at this path.
fn at(error: &ConfigError, path: &Path, message: String) -> FieldError {
    FieldError { path: format!("{}{}", path.as_str(), dotted(&error.path)), message }
}

pub struct Analyzers {
    registry: Arc<PluginRegistry>,
    checks: Arc<ConfigChecks>,
    /// Why a condition can hold for no value, by the language, its component and the condition.
    conditions: Mutex<HashMap<(String, String, String), Option<String>>>,
    served: RwLock<Arc<Vec<Analyzer>>>,
}

impl Analyzers {
    #[must_use]
    pub fn new(registry: Arc<PluginRegistry>, checks: Arc<ConfigChecks>) -> Self {
        let served = RwLock::new(Arc::new(served(&registry)));
        Self { registry, checks, conditions: Mutex::default(), served }
    }

    /// The analyzers that metrics may name, in alphabetical order.
    #[must_use]
    pub fn served(&self) -> Arc<Vec<Analyzer>> {
        Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Other analyzers are served than before.
    pub fn refresh(&self) {
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(served(&self.registry));
    }

    /// What the analyzers find wrong with a run's metrics, each with its path. An analyzer that cannot be asked finds nothing: the
    /// measurement reports it.
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
            let found = if name == job::PROVIDER {
                let secrets = job::shown_secrets(paths_where(config, |text| secrets.is_in(text)));
                Arc::new([job::config_errors(config), secrets].concat())
            } else {
                let pin = pins.get(name).and_then(|pin| Pin::read(pin));
                self.config_errors(name, pin.as_ref(), config, secrets.is_empty()).await
            };
            errors.extend(found.iter().map(|error| at(error, &path, error.message.clone())));
        }
        errors
    }

    /// The same of templates, before a run is made of them: of what arguments leave open nothing is said.
    pub async fn check_templates(&self, configurations: &[Configuration]) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for one in configurations {
            let (found, secrets) = if one.analyzer == job::PROVIDER {
                (Arc::new(job::config_errors(&one.config)), job::shown_secrets(one.secret_paths()))
            } else {
                (self.config_errors(&one.analyzer, None, &one.config, true).await, Vec::new())
            };
            let known = found.iter().filter(|error| one.is_known(&error.path)).chain(&secrets);
            errors
                .extend(known.map(|error| at(error, &one.path, format!("metric {:?}: {}", one.metric, error.message))));
        }
        errors
    }

    /// The conditions of templates that no value can satisfy. Conditions that depend on arguments are not checked.
    async fn check_conditions(&self, configurations: &[Configuration]) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for one in configurations {
            for (field, condition) in one.conditions.iter().filter(|(_, text)| Configuration::is_known_text(text)) {
                let fault = self.condition_fault(condition).await;
                let shown =
                    |fault| one.at.field(field).error(format!("metric {:?}: {condition:?}: {fault}", one.metric));
                errors.extend(fault.map(shown));
            }
        }
        errors
    }

    /// Warnings about the templates of a rollout. As in Argo Rollouts, such templates run nevertheless.
    pub async fn template_warnings(&self, observed: &Observed, configurations: &[Configuration]) -> Vec<FieldError> {
        let mut warnings = self.check_conditions(configurations).await;
        for (template, spec) in &observed.templates {
            let Ok(spec) = spec else { continue };
            let warning = |found: FieldError| FieldError { path: format!("{template} {}", found.path), ..found };
            warnings.extend(template_warnings(spec).into_iter().map(warning));
        }
        for one in configurations.iter().filter(|one| PRUNED.contains(&one.analyzer.as_str())) {
            let Ok(handle) = self.registry.analyzer(&one.analyzer, None).await else { continue };
            let (_, unknown) = handle.plugin.prune_config(&one.config);
            let message = format!("metric {:?}: is no field of this provider: it has no effect", one.metric);
            let warning = |path: String| FieldError {
                path: format!("{}{}", one.path.as_str(), dotted(&path)),
                message: message.clone(),
            };
            warnings.extend(unknown.into_iter().map(warning));
        }
        warnings
    }

    /// Why a condition can hold for no value. The language reports that whatever the value is.
    async fn condition_fault(&self, condition: &str) -> Option<String> {
        let language = self.registry.condition(CONDITION_LANGUAGE, None).await.ok()?;
        let question = (CONDITION_LANGUAGE.to_owned(), language.pin.to_string(), condition.to_owned());
        let known = self.conditions.lock().unwrap_or_else(PoisonError::into_inner).get(&question).cloned();
        if let Some(known) = known {
            return known;
        }
        let fault = match language.plugin.evaluate(condition, condition, ANY_VALUE).await {
            Err(CallError::Reported(Report::InvalidConfig(fault))) => Some(fault),
            // A condition that traps or does not come to an end would do so at each reconciliation: its measurement reports it.
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
    async fn config_errors(&self, name: &str, pin: Option<&Pin>, config: &Value, remember: bool) -> ConfigErrors {
        let Ok(handle) = self.registry.analyzer(name, pin).await else { return ConfigErrors::default() };
        let config = configured(name, &handle, config);
        let check = ConfigCheck { kind: Kind::Analyzer, name, handle: &handle, config: &config };
        self.checks.check_without_breaker(check, remember).await.unwrap_or_default()
    }
}

fn served(registry: &PluginRegistry) -> Vec<Analyzer> {
    let plugins = registry.names(Kind::Analyzer).into_iter().map(|name| {
        let pin = registry.pin(Kind::Analyzer, &name);
        let needs_condition = pin == Some(Pin::BuiltIn) && MEASURING.contains(&name.as_str());
        Analyzer { needs_condition, pin: pin.map(|pin| pin.to_string()), name }
    });
    let own = Analyzer { name: job::PROVIDER.to_owned(), pin: None, needs_condition: false };
    let mut all: Vec<_> = plugins.chain([own]).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kulta_wasm::{Limits, Plugins};
    use serde_json::json;

    use super::*;

    fn analyzers(limits: Limits) -> Analyzers {
        let registry = PluginRegistry::new(Arc::new(Plugins::new(limits).unwrap()));
        Analyzers::new(Arc::new(registry), Arc::default())
    }

    #[tokio::test]
    async fn a_condition_that_can_hold_for_no_value_is_found_before_anything_is_measured() {
        let analyzers = analyzers(Limits::default());
        let conditions = ["result[0] >", "result[0] > 1", "nope(result)"].map(|text| ("successCondition", text.into()));
        let at = Path::new("spec.metrics[0]");
        let (metric, analyzer, config) = ("m".to_owned(), "web".to_owned(), json!({}));
        let one = Configuration { path: at.clone(), metric, analyzer, config, at, conditions: conditions.into() };

        let errors = analyzers.check_conditions(&[one]).await;

        let shown: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert!(shown[0].starts_with("spec.metrics[0].successCondition: metric \"m\""), "{}", shown[0]);
        assert!(shown[0].contains("not an expression at 1:12"), "{}", shown[0]);
        assert!(shown[1].contains("unknown name nope"), "{}", shown[1]);
    }

    #[tokio::test]
    async fn a_condition_that_does_not_come_to_an_end_is_tried_once() {
        let limits = Limits { deadline: Duration::from_millis(50), ..Limits::default() };
        let analyzers = analyzers(limits);
        let endless = "let l = 1..1000; all(l, {all(l, {all(l, {all(l, {true})})})})";

        let fault = analyzers.condition_fault(endless).await;

        assert_eq!((fault, analyzers.conditions.lock().unwrap().len()), (None, 1));
    }
}
