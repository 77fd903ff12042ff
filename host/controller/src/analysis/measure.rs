//! One measurement: the analyzer is asked, the requests that it wants are made, and it is asked again with the answers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::analysis::Metric;
use kulta_core::analysis::{Call, Checked, Condition, Outcome, judge};
use kulta_core::decision::FailureClass;
use kulta_fetch::Secrets;
use kulta_wasm::analyzer::{Action, Measured, Occasion};
use kulta_wasm::{AnalyzerPlugin, CONDITION_LANGUAGE, CallError, Report};

use super::analyzers::configured;
use super::convert::{self, Surroundings};
use super::job;
use crate::clock::{self, Clock};
use crate::cluster::Cluster;
use crate::metrics::{Metrics, OK};
use crate::plugins::{CallFailure, Catalog, Choice, Errands, MOST_ROUNDS, Pin};

/// In a condition that may call `now()`; blanks may stand before its parentheses.
const ASKS_FOR_TIME: &str = "now";

/// What a measurement works with.
pub struct Measurement {
    pub catalog: Arc<Catalog>,
    pub errands: Arc<Errands>,
    /// The components that the run began with, by analyzer.
    pub pins: Arc<BTreeMap<String, String>>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub surroundings: Surroundings,
    /// For the one provider that makes objects.
    pub cluster: Cluster,
    pub owner: job::Owner,
    pub secrets: Arc<Secrets>,
    /// Holds the metric that is measured. Arguments are filled in; secrets are placeholders.
    pub checked: Arc<Checked>,
    pub call: Call,
}

impl Measurement {
    /// Never fails: what goes wrong is the measurement's error.
    pub async fn take(&self) -> Outcome {
        match self.rounds().await {
            Ok(outcome) => outcome,
            Err(message) => Outcome::Errored { message: self.mask(message) },
        }
    }

    async fn rounds(&self) -> Result<Outcome, String> {
        let mut memory = self.call.memory.clone().map_err(|error| error.to_string())?;
        let metric = &self.checked.metric(&self.call.metric).ok_or("the run has no such metric")?.metric;
        let provider = metric.provider.analyzer();
        let (name, config) = provider.ok_or_else(|| "the metric names no provider".to_owned())?;
        if name == job::PROVIDER {
            return Ok(job::take(&self.cluster, &self.owner, config, &self.call, self.clock.now()).await);
        }
        let pin = self.pins.get(name).and_then(|pin| Pin::read(pin));
        let choice = self.catalog.analyzer(name, pin.as_ref()).await.map_err(|error| {
            self.metrics.plugin_call(name, error.class().label());
            error.to_string()
        })?;
        let config = configured(name, &choice, config).to_string();
        let mut errand = self.errands.begin(&choice.terms, &self.secrets).await?;
        let mut answers = Vec::new();
        for _ in 0..MOST_ROUNDS {
            let occasion = convert::occasion(&self.call, &self.surroundings, self.clock.now(), memory, answers);
            match self.ask(name, &choice, &config, &occasion).await? {
                Action::Fetch(fetching) => {
                    let fetched = errand.run(fetching.requests).await;
                    answers = fetched.map_err(|why| self.unusable(name, FailureClass::BadAnswer, &why))?;
                    memory = fetching.memory;
                }
                Action::Wait(waiting) => {
                    let until = clock::instant(waiting.until)
                        .ok_or_else(|| self.unusable(name, FailureClass::BadAnswer, "it waits for no instant"))?;
                    return Ok(Outcome::Waiting { until, metadata: BTreeMap::new(), memory: waiting.memory });
                }
                Action::Measured(measured) => return Ok(self.judge(metric, measured).await),
                Action::Judged(judged) => return Ok(convert::judged(judged, |text| self.mask(text))),
            }
        }
        let why = format!("it asked for requests {MOST_ROUNDS} times and came to no end");
        Err(self.unusable(name, FailureClass::Endless, &why))
    }

    /// Answers that are well in themselves, and lead nowhere.
    fn unusable(&self, name: &str, class: FailureClass, why: &str) -> String {
        self.metrics.plugin_call(name, class.label());
        format!("analyzer {name}: {why}")
    }

    async fn ask(
        &self,
        name: &str,
        choice: &Choice<AnalyzerPlugin>,
        config: &str,
        occasion: &Occasion,
    ) -> Result<Action, String> {
        let answer = choice.guarded(self.clock.now(), choice.plugin.analyze(config, occasion)).await;
        self.metrics.plugin_call(name, answer.as_ref().map_or_else(|error| error.class().label(), |_| OK));
        answer.map_err(own_words)
    }

    async fn judge(&self, metric: &Metric, measured: Measured) -> Outcome {
        let (success, failure) = (
            self.condition(&metric.success_condition, &measured.value).await,
            self.condition(&metric.failure_condition, &measured.value).await,
        );
        let (phase, message) = judge(success.as_ref(), failure.as_ref(), &measured.value);
        Outcome::Measured {
            value: self.mask(measured.value),
            phase,
            message: self.mask(message),
            metadata: convert::metadata(measured.metadata, |text| self.mask(text)),
            memory: measured.memory,
        }
    }

    async fn condition<'a>(&self, expression: &'a str, value: &str) -> Option<Condition<'a>> {
        if expression.is_empty() {
            return None;
        }
        let about = format!("{} {}", self.surroundings.run, self.call.metric);
        let result = match self.catalog.condition(CONDITION_LANGUAGE, None).await {
            Ok(language) => {
                let expression = with_time(expression, self.clock.now());
                let call = language.plugin.evaluate(&about, &expression, value);
                language.guarded(self.clock.now(), call).await.map_err(own_words)
            }
            Err(error) => Err(error.to_string()),
        };
        Some(Condition { expression, result })
    }

    fn mask(&self, text: String) -> String {
        self.secrets.mask(&text).into_owned()
    }
}

/// What a plugin reports itself needs no preface.
fn own_words(error: CallFailure) -> String {
    match error {
        CallFailure::Call(CallError::Reported(
            Report::InvalidConfig(words) | Report::Unavailable(words) | Report::Internal(words),
        )) => words,
        other => other.to_string(),
    }
}

/// A plugin has no clock: a condition that may call `now()` is told the time by a comment before it.
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
    fn only_a_condition_that_asks_for_the_time_is_told_it() {
        let now = Timestamp::from_millisecond(1_764_432_000_000).unwrap();

        assert_eq!(with_time("now().Year() > 2000", now), "/*now:1764432000000*/now().Year() > 2000");
        assert_eq!(with_time("now ().Year() > 2000", now), "/*now:1764432000000*/now ().Year() > 2000");
        assert_eq!(with_time("result > 1", now), "result > 1");
    }
}
