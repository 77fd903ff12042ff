//! The `job` provider: a batch Job of the user's, which is the measurement. It is the host's own, since making objects is no right that
//! a plugin can have. Source: Argo Rollouts, `metricproviders/job/job.go`.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kulta_core::analysis::{Attempt, Call, CallKind, Checked, Outcome, Verdict, job_name};
use kulta_wasm::ConfigError;
use serde_json::{Value, json};

use crate::api_error::{ApiErrorClass, error_message};
use crate::cluster::Cluster;
use crate::key::Key;
use crate::kinds::Kind;
use crate::object::{Object, text};

/// Its name under `provider`.
pub const PROVIDER: &str = "job";
/// Between reads of a Job that runs: Jobs take seconds at least, and no watch of all Jobs of a cluster is worth it.
const POLL_EVERY: SignedDuration = SignedDuration::from_secs(3);
/// Argo's keys in a measurement's metadata.
const JOB_NAME: &str = "job-name";
const JOB_NAMESPACE: &str = "job-namespace";
/// Argo's label on the Job: the uid of its run.
const RUN_LABEL: &str = "analysisrun.argoproj.io/uid";
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
pub fn config_errors(config: &Value) -> Vec<ConfigError> {
    let template = config.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    if template.is_none_or(Vec::is_empty) {
        let path = "spec.template.spec.containers".to_owned();
        return vec![ConfigError { path, message: "required: a Job needs a container".to_owned() }];
    }
    Vec::new()
}

/// A Secret's value must not stand in a Job, at any of these paths of its configuration.
pub fn shown_secrets(paths: Vec<String>) -> Vec<ConfigError> {
    paths.into_iter().map(|path| ConfigError { path, message: SHOWN_SECRET.to_owned() }).collect()
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
        Err(error) => Outcome::Errored { message: format!("Job {}: {}", job.name, error_message(&error)) },
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
        Err(error) if ApiErrorClass::of(&error) == ApiErrorClass::Conflict => {
            let found = cluster.get(Kind::Job, job).await?;
            if found.controlled_by(&owner.uid) { Ok(found) } else { Err(error) }
        }
        result => result,
    }
}

async fn end(cluster: &Cluster, job: &Key) -> Outcome {
    match delete(cluster, job).await {
        Ok(()) => ended(job, Verdict::Pass),
        Err(error) => Outcome::Errored { message: format!("Job {}: {}", job.name, error_message(&error)) },
    }
}

/// Deletes the Jobs of measurements that the run's status drops, before it is stored without them. One that cannot be deleted is left
/// to the garbage collector, which deletes it with its run. Argo counts the Jobs of all metrics together, and so deletes those of
/// measurements that it still shows.
pub async fn collect(cluster: &Cluster, owner: &Owner, checked: &Checked, dropped: &[Attempt]) {
    for Attempt { metric, attempt } in dropped.iter().filter(|dropped| is_by_job(checked, &dropped.metric)) {
        let job = owner.run.sibling(&job_name(&owner.uid, metric, *attempt));
        if let Err(error) = delete(cluster, &job).await {
            tracing::warn!(run = %owner.run, job = job.name, "delete the Job of an old measurement: {}", error_message(&error));
        }
    }
}

fn is_by_job(checked: &Checked, metric: &str) -> bool {
    let provider = checked.metric(metric).and_then(|checked| checked.metric.provider.analyzer());
    provider.is_some_and(|(name, _)| name == PROVIDER)
}

/// # Errors
/// As the API server answers. A Job that is gone already is none.
async fn delete(cluster: &Cluster, job: &Key) -> Result<(), kube::Error> {
    let gone_is_well =
        |error: kube::Error| if ApiErrorClass::of(&error) == ApiErrorClass::Gone { Ok(()) } else { Err(error) };
    let found = match cluster.get(Kind::Job, job).await {
        Ok(found) => found,
        Err(error) => return gone_is_well(error),
    };
    let uid = text(found.json.get("metadata").unwrap_or(&Value::Null), "uid").to_owned();
    cluster.delete(Kind::Job, job, &uid).await.or_else(gone_is_well)
}

fn body(owner: &Owner, config: &Value, call: &Call, job: &Key) -> Value {
    let mut metadata = json!({
        "labels": config.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({})),
        "annotations": config.pointer("/metadata/annotations").cloned().unwrap_or_else(|| json!({})),
    });
    let own = json!({
        "name": job.name,
        "labels": { RUN_LABEL: owner.uid },
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
        let until = now.checked_add(POLL_EVERY).unwrap_or(now);
        Outcome::Waiting { until, metadata: metadata(job), memory: Vec::new() }
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
        metadata: metadata(job),
        reason,
        memory: Vec::new(),
    }
}

/// Of a measurement by this Job.
fn metadata(job: &Key) -> BTreeMap<String, String> {
    BTreeMap::from([(JOB_NAME.to_owned(), job.name.clone()), (JOB_NAMESPACE.to_owned(), job.namespace.clone())])
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use kube::Client;
    use kube::client::Body;
    use kulta_api::validation::analysis::ServedAnalyzer;
    use kulta_core::analysis::check;
    use tower::service_fn;

    use super::*;
    use crate::metrics::Metrics;

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

    fn job_with(condition: &str) -> Outcome {
        let job = json!({ "status": { "conditions": [{ "type": condition, "status": "True", "message": "why" }] } });
        outcome(&Key::new("ns", "job"), &job, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_job_belongs_to_its_run_and_keeps_the_users_labels_beside_the_runs() {
        let config = json!({ "metadata": { "labels": { "team": "x" } }, "spec": { "backoffLimit": 0 } });

        let body = body(&owner(), &config, &call(), &Key::new("ns", "job"));

        assert_eq!(body["metadata"]["labels"], json!({ "team": "x", "analysisrun.argoproj.io/uid": "u-1" }));
        assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "u-1");
        assert_eq!(body["spec"], json!({ "backoffLimit": 0 }));
    }

    /// A cluster with every Job, and the requests that it was sent.
    fn cluster() -> (Cluster, Arc<Mutex<Vec<String>>>) {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::clone(&sent);
        let service = service_fn(move |request: http::Request<Body>| {
            asked.lock().unwrap().push(format!("{} {}", request.method(), request.uri().path()));
            let job = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "job", "uid": "j" } });
            async move { Ok::<_, Infallible>(http::Response::new(Body::from(job.to_string().into_bytes()))) }
        });
        (Cluster::new(Client::new(service, "ns"), Arc::new(Metrics::default())), sent)
    }

    #[tokio::test]
    async fn only_the_jobs_of_measurements_that_are_dropped_are_deleted() {
        let run = json!({ "metadata": {}, "spec": { "metrics": [
            { "name": "smoke", "provider": { "job": { "spec": {} } } },
            { "name": "rate", "provider": { "web": {} } },
        ] } });
        let served = [PROVIDER, "web"].map(|name| ServedAnalyzer { name });
        let checked = check(&serde_json::from_value(run).unwrap(), &BTreeMap::new(), &served).unwrap();
        let dropped = ["smoke", "rate"].map(|metric| Attempt { metric: metric.into(), attempt: 3 });
        let (cluster, sent) = cluster();

        collect(&cluster, &owner(), &checked, &dropped).await;

        let path = "/apis/batch/v1/namespaces/ns/jobs/u-1.smoke.3";
        assert_eq!(*sent.lock().unwrap(), [format!("GET {path}"), format!("DELETE {path}")]);
    }

    #[test]
    fn a_measurement_names_its_job_while_that_runs() {
        let Outcome::Waiting { metadata, .. } = job_with("Suspended") else { panic!("it waits") };

        assert_eq!(metadata.get("job-name").map(String::as_str), Some("job"));
    }

    #[test]
    fn a_job_that_is_complete_passes() {
        assert!(matches!(job_with("Complete"), Outcome::Judged { verdict: Verdict::Pass, .. }));
    }

    #[test]
    fn a_job_that_failed_fails_with_its_reason() {
        assert!(matches!(job_with("Failed"), Outcome::Judged { verdict: Verdict::Fail(why), .. } if why == "why"));
    }

    #[test]
    fn a_job_that_runs_is_looked_at_again() {
        let until = POLL_EVERY.as_secs();

        assert!(matches!(job_with("Suspended"), Outcome::Waiting { until: at, .. } if at.as_second() == until));
    }

    #[test]
    fn a_secret_in_a_job_is_reported_at_its_path_with_the_way_that_keeps_it() {
        let [error] = &shown_secrets(vec!["spec.template.spec.containers[0].args[1]".into()])[..] else {
            panic!("one error")
        };

        assert_eq!(error.path, "spec.template.spec.containers[0].args[1]");
        assert!(error.message.contains("env[].valueFrom.secretKeyRef"), "{}", error.message);
    }

    #[test]
    fn a_job_without_a_container_is_none() {
        let [error] = &config_errors(&json!({ "spec": {} }))[..] else { panic!("one error") };

        assert_eq!(error.path, "spec.template.spec.containers");
    }
}
