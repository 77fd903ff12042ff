//! The conditions `TrafficReady`, `StrategyReady` and `RecordKept`: obstacles outside the rollout. Without obstacles the first
//! two are true, and the third is absent.

use kulta_api::conditions::{self, ConditionType};
use kulta_api::{ConditionReason, ConditionStatus};

use super::Report;
use super::condition::set;
use crate::plan::{EventKind, EventReason};
use crate::plugin_failure::{Effect, FailureClass};
use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::step_plugins::{self, PluginTrouble};

const ROUTES_ACCEPTED: &str = "all routes carry the weights that they should";
const PRUNED: &str = "the Rollout CRD prunes status.kulta: events and the decision log do not outlive the controller; install KULTA's CRD";

pub(super) fn update(report: &Report<'_>, record: Record) -> Record {
    let record = with_traffic(report, record);
    let record = with_strategy(report, record);
    with_record(report.context, record)
}

fn with_traffic(report: &Report<'_>, mut record: Record) -> Record {
    const KIND: ConditionType = ConditionType::TrafficReady;
    let context = report.context;
    let state = context.traffic.as_ref().filter(|traffic| traffic.has_routes()).map(|traffic| &traffic.state);
    let blocked = state.and_then(|state| state.blocked.as_ref()).or(report.conflict);
    match (blocked, state) {
        (Some(blocked), _) => {
            let known =
                conditions::find(&record.status.conditions, KIND).is_some_and(|old| old.message == blocked.message);
            set(context, &mut record, KIND, (ConditionStatus::False, blocked.reason), &blocked.message);
            if !known {
                let message = blocked.message.clone();
                record.emit(context, EventKind::Warning, EventReason::TrafficRoutingError, message);
            }
        }
        (None, None) => conditions::remove(&mut record.status.conditions, KIND),
        (None, Some(state)) => match &state.on_trust {
            Some(on_trust) => {
                set(context, &mut record, KIND, (ConditionStatus::True, on_trust.reason), &on_trust.message);
            }
            // A reported error is removed when the routes are confirmed, not while the data plane has not answered yet.
            None if state.confirmed.is_none() => {}
            None => {
                let state = (ConditionStatus::True, ConditionReason::RoutesAccepted);
                set(context, &mut record, KIND, state, ROUTES_ACCEPTED);
            }
        },
    }
    record
}

fn with_strategy(report: &Report<'_>, mut record: Record) -> Record {
    const KIND: ConditionType = ConditionType::StrategyReady;
    let context = report.context;
    let who = || format!("strategy {:?}", context.strategy.plugin);
    let of_strategy = report.strategy_failure.map(|failure| PluginTrouble { who: who(), failure: failure.clone() });
    let existing = conditions::find(&record.status.conditions, KIND);
    let known = existing.is_some_and(|old| old.status == ConditionStatus::False);
    let is_lost = existing.is_some_and(|old| old.reason == ConditionReason::PluginDigestGone.as_str());
    match of_strategy.or_else(|| report.answers.trouble.clone()) {
        Some(PluginTrouble { failure, .. }) if failure.class.effect() == Effect::AwaitedSilently => {}
        // The failure that opened the circuit breaker is already reported.
        Some(PluginTrouble { failure, .. }) if failure.class == FailureClass::BreakerOpen && known => {}
        Some(PluginTrouble { who, failure }) => {
            let message = format!("{who} gave no usable answer ({}): {}", failure.class.label(), failure.message);
            set(context, &mut record, KIND, (ConditionStatus::False, failure.class.reason()), &message);
            if !known {
                record.emit(context, EventKind::Warning, EventReason::StrategyError, message);
            }
        }
        // The condition stays until the component can be loaded, or a user skips it.
        None if is_lost && step_plugins::is_lost(&record) => {}
        // The condition stays while the strategy is not asked.
        None if context.faults.is_some() => {}
        None if known && report.waiting.is_none() && !record.is_stable(context) => {}
        None => {
            let state = (ConditionStatus::True, ConditionReason::StrategyAnswers);
            set(context, &mut record, KIND, state, &format!("{} is ready", who()));
        }
    }
    record
}

fn with_record(context: &Context, mut record: Record) -> Record {
    if context.observed.record_kept {
        conditions::remove(&mut record.status.conditions, ConditionType::RecordKept);
    } else {
        let state = (ConditionStatus::False, ConditionReason::Pruned);
        set(context, &mut record, ConditionType::RecordKept, state, PRUNED);
    }
    record
}
