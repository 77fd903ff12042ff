//! Pins a revision to the components that were served when it began, whichever components are served later.
//!
//! `status.kulta.plugins` stores the pins, as `<kind>/<name>` → the controller's id of the component. If a component can no
//! longer be loaded, the rollout pauses. A user who promotes it pins the components that are served then.

use kulta_api::conditions;
use kulta_api::{ConditionReason, ConditionType};

use crate::rollout::context::Context;
use crate::rollout::record::Record;

/// The kinds of plugins to which a revision is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginKind {
    Strategy,
    Step,
}

impl PluginKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Strategy => "strategy",
            Self::Step => "step",
        }
    }

    /// Key of a plugin in the record.
    #[must_use]
    pub fn key(self, name: &str) -> String {
        format!("{}/{name}", self.as_str())
    }
}

/// The component with which the revision began, if it is known.
pub(crate) fn pin_of(record: &Record, kind: PluginKind, name: &str) -> Option<String> {
    record.kulta.plugins.get(&kind.key(name)).cloned()
}

/// Pins the components for a revision that begins, and removes the pins of a stable revision.
pub(crate) fn update(context: &Context, mut record: Record) -> Record {
    if record.is_stable(context) {
        record.kulta.plugins.clear();
        return record;
    }
    let digest_gone = conditions::find(&record.status.conditions, ConditionType::StrategyReady)
        .is_some_and(|condition| condition.reason == ConditionReason::PluginDigestGone.as_str());
    if digest_gone && record.status.pause_lifted() {
        record.kulta.plugins.clear();
    }
    for (plugin, component) in &context.observed.pins {
        record.kulta.plugins.entry(plugin.clone()).or_insert_with(|| component.clone());
    }
    record
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kulta_api::{ConditionReason, ConditionStatus, ConditionType, KultaStatus};

    use crate::decision::{FailureClass, StrategyFailure};
    use crate::observed::Observed;
    use crate::plan::Plan;
    use crate::rollout::begin;
    use crate::rollout::tests::support::{asked, done, hold, now, status, steps, under_way};

    const STRATEGY: &str = "strategy/canary";

    fn served(component: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(STRATEGY.to_owned(), component.to_owned())])
    }

    /// An update in progress that is pinned to component `began`, while `serves` is served now.
    fn rollout(began: Option<&str>, serves: &str) -> Observed {
        let mut observed = under_way(steps(), 1, 1, 50);
        let plugins = began.map(served).unwrap_or_default();
        status(&mut observed).kulta = Some(KultaStatus { plugins, sequence: 1, ..KultaStatus::default() });
        observed.pins = served(serves);
        observed
    }

    fn pin_after(plan: &Plan) -> Option<&str> {
        plan.status.as_ref()?.patch.pointer("/kulta/plugins")?.get(STRATEGY)?.as_str()
    }

    #[test]
    fn a_revision_is_pinned_to_the_component_that_is_served_when_it_begins() {
        let ask = asked(begin(rollout(None, "sha256:a"), now()));
        let pin = ask.pin.clone();

        let plan = done(ask.answer(Ok(hold(1, 80))));

        assert_eq!((pin.as_deref(), pin_after(&plan)), (Some("sha256:a"), Some("sha256:a")));
    }

    #[test]
    fn a_component_that_is_served_later_is_for_the_next_revision() {
        let ask = asked(begin(rollout(Some("sha256:a"), "sha256:b"), now()));

        assert_eq!(ask.pin.as_deref(), Some("sha256:a"));
    }

    #[test]
    fn a_stable_revision_keeps_no_pins() {
        let mut observed = rollout(Some("sha256:a"), "sha256:b");
        let status = status(&mut observed);
        status.stable_rs = status.current_pod_hash.clone();

        let plan = done(begin(observed, now()));

        assert_eq!(pin_after(&plan), None);
    }

    fn failed(class: FailureClass) -> Plan {
        let failure = StrategyFailure { class, message: "why".into() };
        done(asked(begin(rollout(Some("sha256:a"), "sha256:b"), now())).answer(Err(failure)))
    }

    fn pauses(plan: &Plan) -> bool {
        plan.status
            .as_ref()
            .is_some_and(|status| status.patch.get("pauseConditions").is_some_and(|list| list.is_array()))
    }

    #[test]
    fn a_rollout_whose_component_can_no_longer_be_loaded_pauses_for_a_user() {
        let plan = failed(FailureClass::DigestGone);

        let reported = plan.status.as_ref().map(|status| status.patch.to_string()).unwrap_or_default();
        assert!(pauses(&plan) && reported.contains("PluginDigestGone"), "{reported}");
    }

    #[test]
    fn promoting_such_a_rollout_pins_the_component_that_is_served_now() {
        let mut observed = rollout(Some("sha256:a"), "sha256:b");
        let status = status(&mut observed);
        status.controller_pause = true;
        kulta_api::conditions::set(
            &mut status.conditions,
            ConditionType::StrategyReady,
            ConditionStatus::False,
            ConditionReason::PluginDigestGone,
            "gone",
            &kulta_api::Time(now()),
        );

        let ask = asked(begin(observed, now()));

        assert_eq!(ask.pin.as_deref(), Some("sha256:b"));
    }

    #[test]
    fn a_rollout_waits_for_plugins_that_are_being_loaded_without_a_condition() {
        let plan = failed(FailureClass::Loading);

        let reported = plan.status.as_ref().map(|status| status.patch.to_string()).unwrap_or_default();
        assert!(plan.wake_up.is_some() && !reported.contains("StrategyReady") && !pauses(&plan), "{reported}");
    }

    #[test]
    fn an_open_circuit_breaker_does_not_replace_the_reported_failure() {
        let failure = |class| Err(StrategyFailure { class, message: "why".into() });
        let mut observed = rollout(Some("sha256:a"), "sha256:b");
        kulta_api::conditions::set(
            &mut status(&mut observed).conditions,
            ConditionType::StrategyReady,
            ConditionStatus::False,
            ConditionReason::PluginTrapped,
            "boom",
            &kulta_api::Time(now()),
        );

        let plan = done(asked(begin(observed, now())).answer(failure(FailureClass::BreakerOpen)));

        let reported = plan.status.as_ref().map(|status| status.patch.to_string()).unwrap_or_default();
        assert!(!reported.contains("PluginFailed") && !pauses(&plan), "{reported}");
    }

    #[test]
    fn a_source_that_cannot_be_reached_is_reported_while_the_rollout_waits() {
        let plan = failed(FailureClass::SourceUnavailable);

        let reported = plan.status.as_ref().map(|status| status.patch.to_string()).unwrap_or_default();
        assert!(plan.wake_up.is_some() && reported.contains("PluginUnavailable") && !pauses(&plan), "{reported}");
    }
}
