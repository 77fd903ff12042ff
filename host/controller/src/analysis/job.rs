//! The `job` provider: a batch Job of the user's, which is the measurement. It is the host's own, since making objects is no right that
//! a plugin can have. Source: Argo Rollouts, `metricproviders/job/job.go`.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kulta_core::analysis::{Call, CallKind, Outcome, Verdict, job_name};
use serde_json::{Value, json};

use super::analyzers::Complaint;
use crate::cluster::{Cluster, Refusal, refusal, words};
use crate::key::Key;
use crate::kinds::Kind;
use crate::object::{Object, text};

/// Its name under `provider`.
pub const PROVIDER: &str = "job";
/// Between looks at a Job that runs: Jobs take seconds at least, and no watch of all Jobs of a cluster is worth it.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(3);
/// Argo's keys in a measurement's metadata.
const JOB_NAME: &str = "job-name";
const JOB_NAMESPACE: &str = "job-namespace";
/// Argo's annotations on the Job.
const RUN_ANNOTATION: &str = "analysisrun.argoproj.io/name";
const METRIC_ANNOTATION: &str = "analysisrun.argoproj.io/metric-name";

/// Whoever may read Jobs could read it. Argo puts it in.
const SHOWN_SECRET: &str = "the value of a Secret would stand in the Job for everybody who may read Jobs: let the container read the \
                            Secret itself, by env[].valueFrom.secretKeyRef";

/// The run that a Job is made for.
#[derive(Clone, Debug)]
pub struct Owner {
    pub run: Key,
    pub uid: String,
}

/// What is wrong with a provider's configuration.
pub fn complaints(config: &Value) -> Vec<Complaint> {
    let template = config.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    if template.is_none_or(Vec::is_empty) {
        let path = "spec.template.spec.containers".to_owned();
        return vec![Complaint { path, message: "required: a Job needs a container".to_owned() }];
    }
    Vec::new()
}

/// A Secret's value must not stand in a Job, at any of these paths of its configuration.
pub fn shown_secrets(paths: Vec<String>) -> Vec<Complaint> {
    paths.into_iter().map(|path| Complaint { path, message: SHOWN_SECRET.to_owned() }).collect()
}

pub async fn take(cluster: &Cluster, owner: &Owner, config: &Value, call: &Call, now: Timestamp) -> Outcome {
    let job = owner.run.sibling(&job_name(&owner.uid, &call.metric, call.attempt));
    let answer = match call.kind {
        CallKind::Measure => begin(cluster, owner, config, call, &job).await,
        CallKind::Resume => cluster.get(Kind::Job, &job).await,
        CallKind::Terminate => return end(cluster, &job).await,
    };
    match answer {
        Ok(found) => outcome(&job, &found.json, now),
        Err(error) => Outcome::Errored { message: format!("Job {}: {}", job.name, words(&error)) },
    }
}

/// One that is there already was made before a restart.
async fn begin(
    cluster: &Cluster,
    owner: &Owner,
    config: &Value,
    call: &Call,
    job: &Key,
) -> Result<Object, kube::Error> {
    match cluster.create(Kind::Job, &job.namespace, &body(owner, config, call, job), false).await {
        Err(error) if refusal(&error) == Refusal::Conflict => {
            let found = cluster.get(Kind::Job, job).await?;
            if found.controlled_by(&owner.uid) { Ok(found) } else { Err(error) }
        }
        result => result,
    }
}

async fn end(cluster: &Cluster, job: &Key) -> Outcome {
    let found = match cluster.get(Kind::Job, job).await {
        Ok(found) => found,
        Err(error) if refusal(&error) == Refusal::Gone => return ended(job, Verdict::Pass),
        Err(error) => return Outcome::Errored { message: format!("Job {}: {}", job.name, words(&error)) },
    };
    let uid = text(found.json.get("metadata").unwrap_or(&Value::Null), "uid").to_owned();
    match cluster.delete(Kind::Job, job, &uid).await {
        Err(error) if refusal(&error) != Refusal::Gone => {
            Outcome::Errored { message: format!("Job {}: {}", job.name, words(&error)) }
        }
        _ => ended(job, Verdict::Pass),
    }
}

fn body(owner: &Owner, config: &Value, call: &Call, job: &Key) -> Value {
    let mut metadata = json!({
        "labels": config.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({})),
        "annotations": config.pointer("/metadata/annotations").cloned().unwrap_or_else(|| json!({})),
    });
    let own = json!({
        "name": job.name,
        "annotations": { RUN_ANNOTATION: owner.run.name, METRIC_ANNOTATION: call.metric },
        "ownerReferences": [{
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
            "name": owner.run.name, "uid": owner.uid, "controller": true,
        }],
    });
    json_patch::merge(&mut metadata, &own);
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": config.get("spec") })
}

fn outcome(job: &Key, found: &Value, now: Timestamp) -> Outcome {
    let conditions = found.pointer("/status/conditions").and_then(Value::as_array);
    let is = |kind: &str| {
        let mut conditions = conditions.into_iter().flatten();
        conditions.find(|condition| text(condition, "type") == kind && text(condition, "status") == "True")
    };
    if is("Complete").is_some() {
        ended(job, Verdict::Pass)
    } else if let Some(failed) = is("Failed") {
        ended(job, Verdict::Fail(text(failed, "message").to_owned()))
    } else {
        Outcome::Waiting { until: now.checked_add(LOOK_EVERY).unwrap_or(now), memory: Vec::new() }
    }
}

fn ended(job: &Key, verdict: Verdict) -> Outcome {
    let reason = match &verdict {
        Verdict::Fail(why) => why.clone(),
        Verdict::Pass | Verdict::Inconclusive(_) => String::new(),
    };
    Outcome::Judged {
        verdict,
        settles: false,
        value: String::new(),
        metadata: BTreeMap::from([
            (JOB_NAME.to_owned(), job.name.clone()),
            (JOB_NAMESPACE.to_owned(), job.namespace.clone()),
        ]),
        reason,
        memory: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner { run: Key::new("ns", "web-1"), uid: "u-1".into() }
    }

    fn call() -> Call {
        Call {
            metric: "Smoke".into(),
            kind: CallKind::Measure,
            number: 1,
            attempt: 2,
            last: true,
            memory: Ok(Vec::new()),
            started_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn told(condition: &str) -> Outcome {
        let job = json!({ "status": { "conditions": [{ "type": condition, "status": "True", "message": "why" }] } });
        outcome(&Key::new("ns", "job"), &job, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_job_belongs_to_its_run_and_keeps_the_users_labels() {
        let config = json!({ "metadata": { "labels": { "team": "x" } }, "spec": { "backoffLimit": 0 } });

        let body = body(&owner(), &config, &call(), &Key::new("ns", "job"));

        assert_eq!(body["metadata"]["labels"], json!({ "team": "x" }));
        assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "u-1");
        assert_eq!(body["spec"], json!({ "backoffLimit": 0 }));
    }

    #[test]
    fn a_job_that_is_complete_passes() {
        assert!(matches!(told("Complete"), Outcome::Judged { verdict: Verdict::Pass, .. }));
    }

    #[test]
    fn a_job_that_failed_fails_with_its_reason() {
        assert!(matches!(told("Failed"), Outcome::Judged { verdict: Verdict::Fail(why), .. } if why == "why"));
    }

    #[test]
    fn a_job_that_runs_is_looked_at_again() {
        let until = LOOK_EVERY.as_secs();

        assert!(matches!(told("Suspended"), Outcome::Waiting { until: at, .. } if at.as_second() == until));
    }

    #[test]
    fn a_secret_in_a_job_is_told_at_its_place_with_the_way_that_keeps_it() {
        let [complaint] = &shown_secrets(vec!["spec.template.spec.containers[0].args[1]".into()])[..] else {
            panic!("one complaint")
        };

        assert_eq!(complaint.path, "spec.template.spec.containers[0].args[1]");
        assert!(complaint.message.contains("env[].valueFrom.secretKeyRef"), "{}", complaint.message);
    }

    #[test]
    fn a_job_without_a_container_is_none() {
        let [complaint] = &complaints(&json!({ "spec": {} }))[..] else { panic!("one complaint") };

        assert_eq!(complaint.path, "spec.template.spec.containers");
    }
}
