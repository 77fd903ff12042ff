//! Asks the strategy that a rollout names, and converts between core's types and the plugins'.

use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::{FailureKind, FieldError};
use kulta_core::Ask;
use kulta_core::decision::{
    Decision, FailureClass, Goal, HeaderMatch, ManagedRoute, ManagedRouteKind, Mirror, Next, PauseCause, RouteMatch,
    Run, RunPhase, Scale, Situation, StrategyFailure, TextMatch, Verdict, Waiting, WantedRun,
};
use kulta_wasm::Kind;
use kulta_wasm::strategy as wit;
use serde_json::Value;

use crate::clock::{self, Clock, millis};
use crate::metrics::{Metrics, OK};
use crate::plugins::{ConfigCheck, ConfigChecks, HandleError, Pin, PluginRegistry, errors_below};
use crate::wit_rollout::RolloutView;

pub struct Strategies {
    registry: Arc<PluginRegistry>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    checks: Arc<ConfigChecks>,
}

impl Strategies {
    #[must_use]
    pub fn new(
        registry: Arc<PluginRegistry>,
        checks: Arc<ConfigChecks>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { registry, metrics, clock, checks }
    }

    /// What is wrong with a plugin's name and configuration, below `path`; empty when nothing is, or when the next decision reports it.
    ///
    /// # Errors
    /// When the plugin failed to answer: nobody knows whether the configuration is valid.
    pub async fn check(&self, name: &str, config: &Value, path: &str) -> Result<Vec<FieldError>, StrategyFailure> {
        let handle = match self.registry.strategy(name, None).await {
            Ok(handle) => handle,
            // A decision waits for the plugin, and reports it.
            Err(HandleError::Loading | HandleError::NotReady { .. } | HandleError::Gone { .. }) => {
                return Ok(Vec::new());
            }
            Err(error @ HandleError::Lookup(_)) => {
                return Ok(vec![FieldError { path: format!("{path}.name"), message: error.to_string() }]);
            }
        };
        let check = ConfigCheck { kind: Kind::Strategy, name, handle: &handle, config };
        let checked = self.checks.check(check, self.clock.now()).await;
        checked
            .map(|errors| errors_below(path, &errors))
            .map_err(|error| StrategyFailure { class: error.class(), message: format!("check-config: {error}") })
    }

    /// # Errors
    /// When there is no such strategy, or it gave no usable answer.
    pub async fn decide(&self, ask: &Ask) -> Result<Decision, StrategyFailure> {
        let began = tokio::time::Instant::now();
        let decided = self.ask(ask).await;
        self.metrics.decision(began.elapsed().as_secs_f64());
        decided
    }

    async fn ask(&self, ask: &Ask) -> Result<Decision, StrategyFailure> {
        let failed = |class: FailureClass, message: String| {
            self.metrics.plugin_call(&ask.plugin, class.label());
            StrategyFailure { class, message }
        };
        let pin = ask.pin.as_deref().and_then(Pin::read);
        let handle = match self.registry.strategy(&ask.plugin, pin.as_ref()).await {
            Ok(handle) => handle,
            Err(error) => return Err(failed(error.class(), error.to_string())),
        };
        let (config, situation) = (handle.policy.configured(&ask.config).to_string(), to_wit(&ask.situation));
        let answer = handle.with_breaker(self.clock.now(), handle.plugin.decide(&config, &situation)).await;
        match answer {
            Ok(answer) => {
                let decision = from_wit(answer).map_err(|message| failed(FailureClass::NotServed, message))?;
                self.metrics.plugin_call(&ask.plugin, OK);
                Ok(decision)
            }
            Err(error) => Err(failed(error.class(), error.to_string())),
        }
    }
}

fn time(millis: u64) -> Result<Timestamp, String> {
    clock::instant(millis).ok_or_else(|| format!("{millis} ms is no instant"))
}

fn to_wit(situation: &Situation) -> wit::Situation {
    let cause = |cause| match cause {
        PauseCause::Step => wit::PauseCause::Step,
        PauseCause::Analysis => wit::PauseCause::Analysis,
        PauseCause::Experiment => wit::PauseCause::Experiment,
    };
    wit::Situation {
        rollout: RolloutView::from(situation).to_wit(),
        now: millis(situation.now),
        goal: match situation.goal {
            Goal::Forward => wit::Goal::Forward,
            Goal::Restore => wit::Goal::Restore,
        },
        step: situation.step,
        step_started_at: millis(situation.step_started_at),
        memory: situation.memory.clone(),
        weight: situation.weight,
        reached: situation.reached,
        paused: situation.paused.map(|(by, since)| (cause(by), millis(since))),
        promoted: situation.promoted,
        runs: situation.runs.iter().map(run_to_wit).collect(),
        facts: Vec::new(),
    }
}

fn run_to_wit(run: &Run) -> wit::Run {
    wit::Run {
        name: run.name.clone(),
        attempt: run.attempt,
        phase: match &run.phase {
            RunPhase::Running => wit::RunPhase::Running,
            RunPhase::Judged(Verdict::Pass) => wit::RunPhase::Judged(wit::Verdict::Pass),
            RunPhase::Judged(Verdict::Fail(why)) => wit::RunPhase::Judged(wit::Verdict::Fail(why.clone())),
            RunPhase::Judged(Verdict::Inconclusive(why)) => {
                wit::RunPhase::Judged(wit::Verdict::Inconclusive(why.clone()))
            }
            RunPhase::FailedToRun(why) => wit::RunPhase::FailedToRun(why.clone()),
        },
        started_at: millis(run.started_at),
    }
}

/// # Errors
/// When the decision asks for something that this build does not serve: names it.
fn from_wit(decision: wit::Decision) -> Result<Decision, String> {
    for (asked, what) in [
        (!decision.additional.is_empty(), "shares for side revisions"),
        (!matches!(decision.stable, wit::Scale::FollowWeight), "a scale for stable other than follow-weight"),
        (!decision.facts.is_empty(), "facts to be kept"),
    ] {
        if asked {
            return Err(format!("the decision asks for {what}, which this version does not serve"));
        }
    }
    let next = match decision.next {
        wit::Next::Hold(waiting) => Next::Hold(match waiting {
            wit::Waiting::Pods => Waiting::Pods,
            wit::Waiting::Routes => Waiting::Routes,
            wit::Waiting::Runs => Waiting::Runs,
            wit::Waiting::Other => Waiting::Other,
        }),
        wit::Next::Until(at) => Next::Until(time(at)?),
        wit::Next::Pause(pause) => Next::Pause {
            cause: match pause.cause {
                wit::PauseCause::Step => PauseCause::Step,
                wit::PauseCause::Analysis => PauseCause::Analysis,
                wit::PauseCause::Experiment => PauseCause::Experiment,
            },
            until: pause.until.map(time).transpose()?,
        },
        wit::Next::Promote => Next::Promote,
        wit::Next::Abort(failure) => Next::Abort {
            kind: match failure.kind {
                wit::FailureKind::Analysis => FailureKind::Analysis,
                wit::FailureKind::Gate => FailureKind::Gate,
                wit::FailureKind::Deployment => FailureKind::Deployment,
                wit::FailureKind::Evaluation => FailureKind::Evaluation,
            },
            reason: failure.reason,
        },
    };
    Ok(Decision {
        step: decision.step,
        steps: decision.steps,
        memory: decision.memory,
        weight: decision.weight,
        canary: match decision.canary {
            wit::Scale::FollowWeight => Scale::FollowWeight,
            wit::Scale::Weight(weight) => Scale::Weight(weight),
            wit::Scale::Replicas(replicas) => Scale::Replicas(replicas),
        },
        routes: decision.routes.into_iter().map(route).collect(),
        runs: decision.runs.into_iter().map(|run| WantedRun { name: run.name, attempt: run.attempt }).collect(),
        next,
        reason: decision.reason,
    })
}

fn route(route: wit::ManagedRoute) -> ManagedRoute {
    let kind = match route.kind {
        wit::RouteKind::Headers(all) => ManagedRouteKind::Headers(headers(all)),
        wit::RouteKind::Mirror(mirror) => ManagedRouteKind::Mirror(Mirror {
            percentage: mirror.percentage,
            matches: mirror.matches.into_iter().map(route_match).collect(),
        }),
    };
    ManagedRoute { name: route.name, kind }
}

fn route_match(one: wit::RouteMatch) -> RouteMatch {
    RouteMatch { method: one.method.map(text), path: one.path.map(text), headers: headers(one.headers) }
}

fn headers(headers: Vec<wit::HeaderMatch>) -> Vec<HeaderMatch> {
    headers.into_iter().map(|header| HeaderMatch { name: header.name, value: text(header.value) }).collect()
}

fn text(text: wit::TextMatch) -> TextMatch {
    match text {
        wit::TextMatch::Exact(exact) => TextMatch::Exact(exact),
        wit::TextMatch::Prefix(prefix) => TextMatch::Prefix(prefix),
        wit::TextMatch::Regex(regex) => TextMatch::Regex(regex),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision() -> wit::Decision {
        wit::Decision {
            step: 0,
            steps: 1,
            memory: Vec::new(),
            weight: 10,
            canary: wit::Scale::Replicas(2),
            stable: wit::Scale::FollowWeight,
            additional: Vec::new(),
            routes: Vec::new(),
            runs: Vec::new(),
            next: wit::Next::Promote,
            reason: String::new(),
            facts: Vec::new(),
        }
    }

    #[test]
    fn a_decision_that_asks_for_what_is_served_is_taken() {
        let taken = from_wit(decision()).unwrap();

        assert_eq!((taken.weight, taken.canary, taken.next), (10, Scale::Replicas(2), Next::Promote));
    }

    #[test]
    fn managed_routes_are_taken_with_all_that_they_match() {
        let header = |name: &str, value| wit::HeaderMatch { name: name.into(), value };
        let mirror = wit::Mirror {
            percentage: Some(30),
            matches: vec![wit::RouteMatch {
                method: Some(wit::TextMatch::Exact("GET".into())),
                path: Some(wit::TextMatch::Regex("/a.*".into())),
                headers: vec![header("x", wit::TextMatch::Prefix("y".into()))],
            }],
        };
        let routes = vec![
            wit::ManagedRoute {
                name: "beta".into(),
                kind: wit::RouteKind::Headers(vec![header("team", wit::TextMatch::Exact("qa".into()))]),
            },
            wit::ManagedRoute { name: "copy".into(), kind: wit::RouteKind::Mirror(mirror) },
        ];

        let taken = from_wit(wit::Decision { routes, ..decision() }).unwrap().routes;

        let header = |name: &str, value| HeaderMatch { name: name.into(), value };
        let copied = RouteMatch {
            method: Some(TextMatch::Exact("GET".into())),
            path: Some(TextMatch::Regex("/a.*".into())),
            headers: vec![header("x", TextMatch::Prefix("y".into()))],
        };
        let expected = [
            ManagedRouteKind::Headers(vec![header("team", TextMatch::Exact("qa".into()))]),
            ManagedRouteKind::Mirror(Mirror { percentage: Some(30), matches: vec![copied] }),
        ];
        assert_eq!(taken.iter().map(|route| route.name.as_str()).collect::<Vec<_>>(), ["beta", "copy"]);
        assert_eq!(taken.into_iter().map(|route| route.kind).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_scale_for_stable_is_refused_by_name() {
        let error = from_wit(wit::Decision { stable: wit::Scale::Replicas(1), ..decision() }).unwrap_err();

        assert!(error.contains("a scale for stable"), "{error}");
    }

    #[test]
    fn facts_of_a_decision_are_refused_by_name() {
        let facts = vec![wit::Label { key: "mood".into(), value: "good".into() }];

        let error = from_wit(wit::Decision { facts, ..decision() }).unwrap_err();

        assert!(error.contains("facts"), "{error}");
    }
}
