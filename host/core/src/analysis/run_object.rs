//! The runs that a rollout creates: their names, labels and bodies (`reference/argo-rollouts.md` section 1.6).

use std::collections::BTreeMap;

use kulta_api::analysis::{AnalysisRun, AnalysisRunSpec, RunMetadata};
use kulta_api::{Rollout, annotations};
use serde_json::{Value, json};

/// The type of a run: which part of an update it analyses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunType {
    Background,
    /// An analysis step, with its index.
    Step(u32),
    PrePromotion,
    PostPromotion,
}

impl RunType {
    /// The value of the label [`annotations::ROLLOUT_TYPE`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Step(_) => "Step",
            Self::PrePromotion => "PrePromotion",
            Self::PostPromotion => "PostPromotion",
        }
    }

    fn suffix(self) -> String {
        match self {
            Self::Background => String::new(),
            Self::Step(index) => format!("-{index}"),
            Self::PrePromotion => "-pre".to_owned(),
            Self::PostPromotion => "-post".to_owned(),
        }
    }
}

/// `<rollout>-<hash>-<revision>[-<step>|-pre|-post]`.
#[must_use]
pub fn base_name(rollout: &str, hash: &str, revision: u64, run_type: RunType) -> String {
    format!("{rollout}-{hash}-{revision}{}", run_type.suffix())
}

/// The run's name after `collisions` names were taken: `base`, `base.1`, `base.2`, …
#[must_use]
pub fn name(base: &str, collisions: u32) -> String {
    if collisions == 0 { base.to_owned() } else { format!("{base}.{collisions}") }
}

/// The existing run is the one to be created: an earlier reconciliation created it, and the cache does not have it yet. Otherwise
/// its name is taken.
#[must_use]
pub fn is_ours(existing: &AnalysisRun, spec: &AnalysisRunSpec, rollout_uid: &str) -> bool {
    let owner = existing.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let asked = |spec: &AnalysisRunSpec| AnalysisRunSpec { terminate: false, ttl_strategy: None, ..spec.clone() };
    let completed = existing.status.as_ref().is_some_and(|status| status.is_completed());
    !completed && owner.is_some_and(|owner| owner.uid == rollout_uid) && asked(&existing.spec) == asked(spec)
}

/// The AnalysisRun to create.
#[must_use]
pub fn body(
    rollout: &Rollout,
    hash: &str,
    revision: u64,
    run_type: RunType,
    metadata: Option<&RunMetadata>,
    spec: &AnalysisRunSpec,
    collisions: u32,
) -> Value {
    let rollout_name = rollout.metadata.name.as_deref().unwrap_or_default();
    let mut annotations = BTreeMap::from([(annotations::REVISION.to_owned(), revision.to_string())]);
    annotations.extend(metadata.iter().flat_map(|metadata| metadata.annotations.clone()));
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": {
            "name": name(&base_name(rollout_name, hash, revision, run_type), collisions),
            "namespace": rollout.metadata.namespace,
            "labels": labels(rollout, hash, run_type, metadata),
            "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Rollout",
                "name": rollout_name,
                "uid": rollout.metadata.uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": spec,
    })
}

fn labels(
    rollout: &Rollout,
    hash: &str,
    run_type: RunType,
    metadata: Option<&RunMetadata>,
) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        (annotations::POD_TEMPLATE_HASH.to_owned(), hash.to_owned()),
        (annotations::ROLLOUT_TYPE.to_owned(), run_type.as_str().to_owned()),
    ]);
    if let RunType::Step(index) = run_type {
        labels.insert(annotations::STEP_INDEX.to_owned(), index.to_string());
    }
    let instance = rollout.metadata.labels.as_ref().and_then(|labels| labels.get(annotations::INSTANCE_ID));
    labels.extend(instance.map(|instance| (annotations::INSTANCE_ID.to_owned(), instance.clone())));
    labels.extend(metadata.iter().flat_map(|metadata| metadata.labels.clone()));
    labels.extend(rollout.spec.selector.iter().flat_map(|selector| selector.match_labels.clone().unwrap_or_default()));
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixtures::{metric, run};
    use crate::fixtures::rollout;

    fn spec() -> AnalysisRunSpec {
        serde_json::from_value(json!({ "metrics": [metric("a", json!({}))] })).unwrap()
    }

    #[test]
    fn names_of_runs_are_the_same_as_in_argo() {
        for (run_type, collisions, expected) in [
            (RunType::Background, 0, "web-abc-2"),
            (RunType::Step(3), 0, "web-abc-2-3"),
            (RunType::PrePromotion, 0, "web-abc-2-pre"),
            (RunType::PostPromotion, 2, "web-abc-2-post.2"),
        ] {
            assert_eq!(name(&base_name("web", "abc", 2, run_type), collisions), expected);
        }
    }

    #[test]
    fn a_run_has_the_labels_that_tools_select_by() {
        let mut rollout = rollout(json!({ "canary": {} }));
        rollout.metadata.labels = Some(BTreeMap::from([(annotations::INSTANCE_ID.to_owned(), "one".to_owned())]));
        let metadata = RunMetadata {
            labels: BTreeMap::from([("app".into(), "theirs".into()), ("team".into(), "blue".into())]),
            annotations: BTreeMap::from([("note".into(), "x".into())]),
        };

        let body = body(&rollout, "abc", 2, RunType::Step(1), Some(&metadata), &spec(), 0);

        assert_eq!(
            body["metadata"]["labels"],
            json!({
                "app": "web", "team": "blue", "rollouts-pod-template-hash": "abc", "rollout-type": "Step",
                "step-index": "1", "argo-rollouts.argoproj.io/controller-instance-id": "one",
            })
        );
        assert_eq!(body["metadata"]["annotations"], json!({ "rollout.argoproj.io/revision": "2", "note": "x" }));
    }

    #[test]
    fn a_run_belongs_to_its_rollout() {
        let rollout = rollout(json!({ "canary": {} }));

        let body = body(&rollout, "abc", 2, RunType::Background, None, &spec(), 1);

        assert_eq!(body["metadata"]["name"], "web-abc-2.1");
        let owner = &body["metadata"]["ownerReferences"][0];
        assert_eq!((&owner["kind"], &owner["controller"]), (&json!("Rollout"), &json!(true)));
        assert_eq!(owner["uid"], json!(rollout.metadata.uid));
    }

    #[test]
    fn an_existing_run_with_the_same_spec_is_recognised() {
        let rollout = rollout(json!({ "canary": {} }));
        let uid = rollout.metadata.uid.clone().unwrap();
        let existing = |change: &dyn Fn(&mut AnalysisRun)| {
            let body = body(&rollout, "abc", 2, RunType::Background, None, &spec(), 0);
            let mut existing: AnalysisRun = serde_json::from_value(body).unwrap();
            change(&mut existing);
            existing
        };
        let other = || run(json!({ "metrics": [metric("b", json!({}))] })).spec;

        assert!(is_ours(&existing(&|_| {}), &spec(), &uid));
        assert!(is_ours(&existing(&|existing| existing.spec.terminate = true), &spec(), &uid));
        assert!(!is_ours(&existing(&|existing| existing.spec = other()), &spec(), &uid));
        assert!(!is_ours(&existing(&|_| {}), &spec(), "another"));
        let ended = serde_json::from_value(json!({ "phase": "Failed" })).ok();
        assert!(!is_ours(&existing(&|existing| existing.status.clone_from(&ended)), &spec(), &uid));
    }
}
