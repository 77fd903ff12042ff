//! Errors for which a spec cannot be followed, and what still happens to the rollout: it completes no step and starts nothing,
//! but revisions that serve are kept, and an abort restores stable (design section 1).

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::validation::{self, FieldError};
use kulta_api::{Rollout, RolloutStatus};

use crate::identity::{self, Identity};
use crate::observed::Observed;
use crate::reference;
use crate::rollout::context::{Context, NewRevision, SpecFaults};
use crate::rollout::strategy_choice::StrategyChoice;

/// Fields of the strategy that define where traffic goes.
const TRAFFIC_FIELDS: [&str; 5] =
    ["trafficRouting", "canaryService", "stableService", "activeService", "previewService"];

/// The errors of a spec and its references.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// The spec is invalid.
    pub invalid: Vec<FieldError>,
    /// An object that the spec refers to does not exist, or belongs to another rollout.
    pub broken: Vec<FieldError>,
}

impl Faults {
    pub fn of(observed: &Observed) -> Self {
        let invalid = validation::validate(&observed.rollout).err().unwrap_or_default();
        let broken = reference::check(observed);
        Self { invalid, broken }
    }

    pub fn is_empty(&self) -> bool {
        self.invalid.is_empty() && self.broken.is_empty()
    }

    /// All errors, in the order of the fields.
    pub fn all(&self) -> Vec<FieldError> {
        self.invalid.iter().chain(&self.broken).cloned().collect()
    }
}

/// A revision of the rollout is stable, so there is one to keep or to restore.
pub(crate) fn is_deployed(rollout: &Rollout) -> bool {
    let status = rollout.status.as_ref();
    status.is_some_and(|status| !status.stable_rs.is_empty() && !status.current_pod_hash.is_empty())
}

/// The context of a deployed rollout with faults.
pub(crate) fn context(observed: Arc<Observed>, faults: &Faults, now: Timestamp) -> Context {
    let status = observed.rollout.status.clone().unwrap_or_default();
    let spec_faults = SpecFaults { errors: faults.all(), traffic_unknown: traffic_unknown(&observed, faults, &status) };
    let mut observed = Arc::unwrap_or_clone(observed);
    observed.rollout.spec.replicas = Some(replicas(&observed, &status));
    let rolled_back = match identity::identify(&observed, None) {
        Identity::Known(known) => known.hash() == status.stable_rs,
        Identity::New { .. } | Identity::Unclear | Identity::Refused { .. } => false,
    };
    // A template other than stable's is a new revision, which begins once the errors are gone.
    let hash = if rolled_back { status.stable_rs.clone() } else { status.current_pod_hash.clone() };
    let new = NewRevision { revision: identity::by_hash(&observed.revisions, &hash), hash };
    let strategy = &observed.rollout.spec.strategy;
    let fields = strategy.any_fields().map(Cow::into_owned).unwrap_or_default();
    let choice = StrategyChoice::of(strategy).unwrap_or_else(StrategyChoice::none);
    Context::new(Arc::new(observed), (fields, choice), new, &status, Some(spec_faults), now)
}

/// `spec.replicas` if it is valid, otherwise the number for which stable was last scaled.
fn replicas(observed: &Observed, status: &RolloutStatus) -> i32 {
    let written = observed.rollout.spec.replicas.filter(|replicas| *replicas >= 0);
    written.unwrap_or_else(|| {
        let stable = identity::by_hash(&observed.revisions, &status.stable_rs);
        let last = stable.map_or(0, |stable| stable.desired_replicas().unwrap_or(stable.replicas));
        i32::try_from(last).unwrap_or(i32::MAX)
    })
}

fn traffic_unknown(observed: &Observed, faults: &Faults, status: &RolloutStatus) -> bool {
    let path = reference::strategy_path(&observed.rollout);
    let about_traffic = |error: &FieldError| {
        let field = error.path.strip_prefix(path).and_then(|field| field.strip_prefix('.'));
        field.is_some_and(|field| TRAFFIC_FIELDS.iter().any(|about| field.starts_with(about)))
    };
    faults.invalid.iter().any(about_traffic)
        || !reference::mismatches(observed).is_empty()
        || (!is_routed(&observed.rollout) && was_routed(status))
}

fn is_routed(rollout: &Rollout) -> bool {
    let routing = rollout.spec.strategy.fields().and_then(|fields| fields.traffic_routing.as_ref());
    routing.is_some_and(|routing| routing.has_router())
}

/// Routes that the spec no longer names gave the canary traffic.
fn was_routed(status: &RolloutStatus) -> bool {
    status.canary.weights.as_ref().is_some_and(|weights| weights.canary.weight > 0)
}
