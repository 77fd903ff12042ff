//! One log line per transition. The controller logs it once the status with the transition is stored.

use kulta_api::{OutboxEntry, Outcome, TransitionKind};

/// One transition of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Number of the transition's revision.
    pub revision: Option<u64>,
    pub message: String,
}

/// A stored transition as text. Starts and metrics of analyses are left out, and so are ends that another line reports in full.
#[must_use]
pub(crate) fn describe(entry: &OutboxEntry) -> Option<String> {
    let why = entry.why.as_deref().map_or_else(String::new, |why| format!(": {why}"));
    match entry.kind {
        TransitionKind::Started if entry.stable.is_none() => Some("first deployment began".to_owned()),
        TransitionKind::Started => Some("update began".to_owned()),
        TransitionKind::Progressed => Some(format!("{} is completed{}", step(entry), weight(entry))),
        TransitionKind::Paused => Some(format!("paused at {}{}{why}", step(entry), weight(entry))),
        TransitionKind::Resumed => Some(format!("resumed at {}", step(entry))),
        TransitionKind::Promoted => Some("promotion to all pods and all traffic began".to_owned()),
        TransitionKind::ServiceDeployed | TransitionKind::ServiceUpgraded => {
            Some("promoted: the revision is stable".to_owned())
        }
        TransitionKind::ServiceRolledBack => Some("rolled back: the stable revision has all traffic again".to_owned()),
        TransitionKind::Finished => match entry.outcome {
            Some(Outcome::Failure | Outcome::Error) => Some(format!("update failed{why}")),
            Some(Outcome::Cancel) => Some(format!("update ended without a promotion{why}")),
            Some(Outcome::Success) | None => None,
        },
        TransitionKind::AnalysisStarted | TransitionKind::MetricFinished | TransitionKind::AnalysisFinished => None,
    }
}

/// Number of the step, counted from one.
fn step(entry: &OutboxEntry) -> String {
    let number = entry.step.unwrap_or_default().saturating_add(1);
    match entry.steps {
        Some(steps) => format!("step {number} of {steps}"),
        None => format!("step {number}"),
    }
}

fn weight(entry: &OutboxEntry) -> String {
    entry.weight.map_or_else(String::new, |weight| format!(", weight {weight}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::decision::{Decision, Next, PauseCause};
    use crate::observed::Observed;
    use crate::plan::Plan;
    use crate::rollout::begin;
    use crate::rollout::questions::Turn;
    use crate::rollout::tests::support::{done, hold, now, status, steps, under_way};

    fn lines(plan: &Plan) -> Vec<(Option<u64>, &str)> {
        plan.transitions.iter().map(|transition| (transition.revision, transition.message.as_str())).collect()
    }

    fn begun() -> Observed {
        let mut observed = under_way(steps(), 0, 0, 0);
        status(&mut observed).kulta =
            Some(serde_json::from_value(json!({ "sequence": 1, "revisionSequence": 1 })).unwrap());
        observed
    }

    /// The plan if the strategy always gives this answer.
    fn plan(observed: Observed, decision: &Decision) -> Plan {
        let mut turn = begin(observed, now());
        while let Turn::Ask(ask) = turn {
            turn = ask.answer(Ok(decision.clone()));
        }
        done(turn)
    }

    #[test]
    fn the_line_of_a_new_revision_has_its_number() {
        let mut observed = begun();
        status(&mut observed).current_pod_hash.clear();

        let plan = plan(observed, &hold(0, 0));

        assert_eq!(lines(&plan), [(Some(2), "update began")]);
    }

    #[test]
    fn a_reconciliation_without_a_transition_logs_nothing() {
        let plan = plan(begun(), &hold(0, 0));

        assert_eq!(lines(&plan), []);
    }

    #[test]
    fn the_line_of_a_pause_has_its_step() {
        let decision = Decision { next: Next::Pause { cause: PauseCause::Step, until: None }, ..hold(0, 0) };

        let plan = plan(begun(), &decision);

        assert_eq!(lines(&plan), [(Some(2), "paused at step 1 of 4, weight 0")]);
    }

    #[test]
    fn an_abort_is_logged_at_once_with_its_reason() {
        let kind = kulta_api::FailureKind::Deployment;
        let decision = Decision { next: Next::Abort { kind, reason: "the pods crash".into() }, ..hold(0, 0) };

        let plan = plan(begun(), &decision);

        assert_eq!(lines(&plan)[0], (Some(2), "aborted: the pods crash"));
    }

    #[test]
    fn the_line_of_an_abort_by_a_user_says_so() {
        let mut observed = begun();
        status(&mut observed).abort = true;

        let plan = plan(observed, &hold(0, 0));

        assert_eq!(lines(&plan)[0], (Some(2), "aborted by request"));
    }
}
