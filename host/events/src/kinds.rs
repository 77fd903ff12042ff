//! The table of event types and contents by transition.

use kulta_api::TransitionKind;

/// An event's type and the form of its `subject.content`.
pub(crate) struct EventType {
    pub(crate) name: &'static str,
    pub(crate) content: Content,
}

#[derive(Clone, Copy)]
pub(crate) enum Content {
    /// The specification's `service.*`: an environment, and the artifact that serves now.
    Service(Side),
    /// The specification's `testsuiterun.*`: one analysis run.
    SuiteRun(Stage),
    /// The specification's `testcaserun.finished`: one metric of a run.
    CaseRun,
    /// KULTA's own: rollout, namespace, revision, environment and artifact, and those of these fields that the entry
    /// has.
    Rollout(&'static [Field]),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Revision,
    Stable,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Started,
    Finished,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Strategy,
    PreviousArtifact,
    StepIndex,
    Steps,
    Weight,
    PreviousWeight,
    Outcome,
    FailureType,
    Reason,
}

/// A deleted Rollout has no transition, so its event is not in the table.
pub(crate) const SERVICE_REMOVED: &str = "dev.cdevents.service.removed.0.3.0";

const POSITION: &[Field] = &[Field::StepIndex, Field::Steps, Field::Weight, Field::Reason];

pub(crate) const fn event_type(kind: TransitionKind) -> EventType {
    let (name, content) = match kind {
        TransitionKind::Started => (
            "dev.cdeventsx.kulta-rollout.started.0.1.0",
            Content::Rollout(&[Field::Strategy, Field::PreviousArtifact, Field::Steps]),
        ),
        TransitionKind::Progressed => (
            "dev.cdeventsx.kulta-rollout.progressed.0.1.0",
            Content::Rollout(&[Field::StepIndex, Field::Steps, Field::Weight, Field::PreviousWeight]),
        ),
        TransitionKind::Paused => ("dev.cdeventsx.kulta-rollout.paused.0.1.0", Content::Rollout(POSITION)),
        TransitionKind::Resumed => ("dev.cdeventsx.kulta-rollout.resumed.0.1.0", Content::Rollout(POSITION)),
        TransitionKind::Promoted => ("dev.cdeventsx.kulta-rollout.promoted.0.1.0", Content::Rollout(POSITION)),
        TransitionKind::Finished => (
            "dev.cdeventsx.kulta-rollout.finished.0.1.0",
            Content::Rollout(&[Field::Outcome, Field::FailureType, Field::Reason]),
        ),
        TransitionKind::ServiceDeployed => ("dev.cdevents.service.deployed.0.3.0", Content::Service(Side::Revision)),
        TransitionKind::ServiceUpgraded => ("dev.cdevents.service.upgraded.0.3.0", Content::Service(Side::Revision)),
        TransitionKind::AnalysisStarted => {
            ("dev.cdevents.testsuiterun.started.0.3.0", Content::SuiteRun(Stage::Started))
        }
        TransitionKind::AnalysisFinished => {
            ("dev.cdevents.testsuiterun.finished.0.3.0", Content::SuiteRun(Stage::Finished))
        }
        TransitionKind::MetricFinished => ("dev.cdevents.testcaserun.finished.0.3.0", Content::CaseRun),
        // The event is about the restored artifact, which serves now.
        TransitionKind::ServiceRolledBack => ("dev.cdevents.service.rolledback.0.3.0", Content::Service(Side::Stable)),
    };
    EventType { name, content }
}
