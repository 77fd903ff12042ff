//! One measurement: an analyzer is called, and the metric's conditions judge the value that it measures.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::analysis::Metric;
use kulta_core::analysis::{Call, Checked, Condition, Outcome, judge};
use kulta_core::decision::FailureClass;
use kulta_fetch::Secrets;
use kulta_wasm::analyzer::{Action, Fetching, Judged, Measured, Occasion, Waiting};
use kulta_wasm::{AnalyzerPlugin, CONDITION_LANGUAGE, CallError, Report};

use super::analyzers::configured;
use super::credentials::CredentialFacts;
use super::job;
use super::metric_context::{self, MetricContext};
use crate::clock::{self, Clock};
use crate::cluster::Cluster;
use crate::metrics::{Metrics, OK};
use crate::plugins::{CallFailure, Grants, HttpClient, Pin, PluginHandle, PluginRegistry, Reply, SessionError};

/// In a condition that may call `now()`; blanks may stand before its parentheses.
const ASKS_FOR_TIME: &str = "now";

/// What a measurement works with.
pub struct Measurement {
    pub registry: Arc<PluginRegistry>,
    pub http: Arc<HttpClient>,
    /// The components that the run began with, by analyzer.
    pub pins: Arc<BTreeMap<String, String>>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub context: MetricContext,
    /// For the one provider that makes objects.
    pub cluster: Cluster,
    pub owner: job::Owner,
    pub secrets: Arc<Secrets>,
    /// For built-in analyzers only.
    pub credentials: Arc<CredentialFacts>,
    /// Holds the metric that is measured. Arguments are filled in; secrets are placeholders.
    pub checked: Arc<Checked>,
    pub call: Call,
}

/// An analyzer's answer that asks for no more requests.
enum Answered {
    Waiting(Waiting),
    Measured(Measured),
    Judged(Judged),
}

impl Measurement {
    /// Never fails: what goes wrong is the measurement's error.
    pub async fn take(&self) -> Outcome {
        match self.outcome().await {
            Ok(outcome) => outcome,
            Err(message) => Outcome::Errored { message: self.redact(message) },
        }
    }

    async fn outcome(&self) -> Result<Outcome, String> {
        let memory = self.call.memory.clone().map_err(|error| error.to_string())?;
        let metric = &self.checked.metric(&self.call.metric).ok_or("the run has no such metric")?.metric;
        let provider = metric.provider.analyzer();
        let (name, config) = provider.ok_or_else(|| "the metric names no provider".to_owned())?;
        if name == job::PROVIDER {
            return Ok(job::take(&self.cluster, &self.owner, config, &self.call, self.clock.now()).await);
        }
        let pin = self.pins.get(name).and_then(|pin| Pin::read(pin));
        let handle = self.registry.analyzer(name, pin.as_ref()).await.map_err(|error| {
            self.metrics.plugin_call(name, error.class().label());
            error.to_string()
        })?;
        let config = configured(name, &handle, config).to_string();
        let of_metric = self.credentials.get(&self.call.metric).filter(|_| handle.policy.grants == Grants::BuiltIn);
        let credentials = of_metric.map_or(&[][..], Vec::as_slice);
        let mut session = self.http.session(&handle.policy, &self.secrets).await?;
        let answered = session.run(memory, async |memory, answers| {
            let mut occasion = metric_context::occasion(&self.call, &self.context, self.clock.now(), memory, answers);
            occasion.facts.extend_from_slice(credentials);
            Ok(match self.analyze(name, &handle, &config, &occasion).await? {
                Action::Fetch(Fetching { requests, memory }) => Reply::Fetch { requests, memory },
                Action::Wait(waiting) => Reply::Done(Answered::Waiting(waiting)),
                Action::Measured(measured) => Reply::Done(Answered::Measured(measured)),
                Action::Judged(judged) => Reply::Done(Answered::Judged(judged)),
            })
        });
        match answered.await {
            Ok(Answered::Waiting(waiting)) => {
                let until = clock::instant(waiting.until)
                    .ok_or_else(|| self.unusable(name, FailureClass::BadAnswer, "it waits for no instant"))?;
                Ok(Outcome::Waiting { until, metadata: BTreeMap::new(), memory: waiting.memory })
            }
            Ok(Answered::Measured(measured)) => Ok(self.judge(metric, measured).await),
            Ok(Answered::Judged(judged)) => Ok(metric_context::judged(judged, |text| self.redact(text))),
            // Failed calls are counted where they are made.
            Err(SessionError::Call(error)) => Err(own_message(error)),
            Err(error) => Err(self.unusable(name, error.class(), &error.to_string())),
        }
    }

    /// An answer that is valid in itself and leads nowhere.
    fn unusable(&self, name: &str, class: FailureClass, why: &str) -> String {
        self.metrics.plugin_call(name, class.label());
        format!("analyzer {name}: {why}")
    }

    async fn analyze(
        &self,
        name: &str,
        handle: &PluginHandle<AnalyzerPlugin>,
        config: &str,
        occasion: &Occasion,
    ) -> Result<Action, CallFailure> {
        let answer = handle.with_breaker(self.clock.now(), handle.plugin.analyze(config, occasion)).await;
        self.metrics.plugin_call(name, answer.as_ref().map_or_else(|error| error.class().label(), |_| OK));
        answer
    }

    async fn judge(&self, metric: &Metric, measured: Measured) -> Outcome {
        let (success, failure) = (
            self.condition(&metric.success_condition, &measured.value).await,
            self.condition(&metric.failure_condition, &measured.value).await,
        );
        let (phase, message) = judge(success.as_ref(), failure.as_ref(), &measured.value);
        Outcome::Measured {
            value: self.redact(measured.value),
            phase,
            message: self.redact(message),
            metadata: metric_context::metadata(measured.metadata, |text| self.redact(text)),
            memory: measured.memory,
        }
    }

    async fn condition<'a>(&self, expression: &'a str, value: &str) -> Option<Condition<'a>> {
        if expression.is_empty() {
            return None;
        }
        let about = format!("{} {}", self.context.run, self.call.metric);
        let result = match self.registry.condition(CONDITION_LANGUAGE, None).await {
            Ok(language) => {
                let expression = with_time(expression, self.clock.now());
                let call = language.plugin.evaluate(&about, &expression, value);
                language.with_breaker(self.clock.now(), call).await.map_err(own_message)
            }
            Err(error) => Err(error.to_string()),
        };
        Some(Condition { expression, result })
    }

    fn redact(&self, text: String) -> String {
        self.secrets.mask(&text).into_owned()
    }
}

/// A message that the plugin itself reports stands without a prefix.
fn own_message(error: CallFailure) -> String {
    match error {
        CallFailure::Call(CallError::Reported(
            Report::InvalidConfig(message) | Report::Unavailable(message) | Report::Internal(message),
        )) => message,
        other => other.to_string(),
    }
}

/// A plugin has no clock: a condition that may call `now()` gets the time by a comment before it.
fn with_time(expression: &str, now: Timestamp) -> Cow<'_, str> {
    match expression.contains(ASKS_FOR_TIME) {
        true => Cow::Owned(format!("/*now:{}*/{expression}", now.as_millisecond())),
        false => Cow::Borrowed(expression),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_condition_that_asks_for_the_time_gets_it() {
        let now = Timestamp::from_millisecond(1_764_432_000_000).unwrap();

        assert_eq!(with_time("now().Year() > 2000", now), "/*now:1764432000000*/now().Year() > 2000");
        assert_eq!(with_time("now ().Year() > 2000", now), "/*now:1764432000000*/now ().Year() > 2000");
        assert_eq!(with_time("result > 1", now), "result > 1");
    }
}
