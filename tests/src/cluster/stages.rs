//! The behaviour of kwok's pods, by labels on the pod:
//!
//! | label | effect |
//! |---|---|
//! | none | ready at once |
//! | `kulta.test/ready: never` | runs and is not ready; set or removed on a living pod, it turns not ready or ready |
//! | `kulta.test/ready-after: 3s` | ready after that time |
//! | `kulta.test/crash-after: 2s` | ready at first, then in a crash loop |
//! | `kulta.test/job: fail` | a Job's pod fails instead of completing |
//! | `kulta.test/gone-after: 5s` | stays this long after its deletion (default 2 s) |

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::api;

const READY: &str = r#".status.conditions.[] | select( .type == "Ready" ) | .status"#;
const NEVER: &str = r#".metadata.labels["kulta.test/ready"]"#;
const READY_AFTER: &str = r#".metadata.labels["kulta.test/ready-after"]"#;
const CRASH_AFTER: &str = r#".metadata.labels["kulta.test/crash-after"]"#;
const GONE_AFTER: &str = r#".metadata.labels["kulta.test/gone-after"]"#;
const JOB: &str = r#".metadata.labels["kulta.test/job"]"#;
const OWNER: &str = ".metadata.ownerReferences.[].kind";
const PHASE: &str = ".status.phase";
const DELETED: &str = ".metadata.deletionTimestamp";

/// kwok's configuration file: its options, the usable stock stages, and our own.
pub fn configuration(stock: &[String]) -> Result<String> {
    let mut documents = vec![json!({
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1", "kind": "KwokConfiguration",
        // kwok sets no defaults if options are given; no node lease (0), because there is no node-lifecycle controller.
        "options": {
            "podPlayStageParallelism": 32, "nodePlayStageParallelism": 4, "podsOnNodeSyncParallelism": 4,
            "nodeLeaseDurationSeconds": 0, "nodeLeaseParallelism": 4,
            "enablePodsOnNodeSyncListPager": true, "enablePodsOnNodeSyncStreamWatch": false,
        },
    })];
    for text in stock {
        documents.extend(api::documents(text)?);
    }
    documents.extend(pod_stages());
    let mut file = String::new();
    for document in documents {
        file.push_str("---\n");
        file.push_str(&serde_yaml::to_string(&document).context("write kwok's configuration")?);
    }
    Ok(file)
}

fn pod_stages() -> Vec<Value> {
    let alive = is(DELETED, "DoesNotExist", &[]);
    let pending = is(PHASE, "In", &["Pending"]);
    let running = is(PHASE, "In", &["Running"]);
    let ready = is(READY, "In", &["True"]);
    let unready = is(READY, "NotIn", &["True"]);
    let never = is(NEVER, "In", &["never"]);
    let may = is(NEVER, "NotIn", &["never"]);
    let crashes = is(CRASH_AFTER, "Exists", &[]);
    let steady = is(CRASH_AFTER, "DoesNotExist", &[]);
    let job = is(OWNER, "In", &["Job"]);
    let fails = is(JOB, "In", &["fail"]);
    let all = |rules: &[&Value]| Value::Array(rules.iter().map(|rule| (*rule).clone()).collect());
    let template = |text: String| json!({ "statusTemplate": text });
    vec![
        stage(
            "pod-ready",
            all(&[&alive, &pending, &may]),
            Some((0, READY_AFTER)),
            template(status(State::Ready, true)),
        ),
        stage("pod-never-ready", all(&[&alive, &pending, &never]), None, template(status(State::NotReady, true))),
        stage("pod-unready", all(&[&alive, &running, &ready, &never]), None, template(status(State::NotReady, false))),
        stage(
            "pod-ready-again",
            all(&[&alive, &running, &unready, &may, &steady]),
            None,
            template(status(State::Ready, false)),
        ),
        stage(
            "pod-crash",
            all(&[&alive, &running, &ready, &may, &crashes]),
            Some((1000, CRASH_AFTER)),
            template(status(State::Crashing, false)),
        ),
        // Takes precedence over the stock stage for Jobs, which would complete it.
        json!({
            "apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": "pod-job-fail"},
            "spec": {
                "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
                "selector": {"matchExpressions": all(&[&alive, &running, &job, &fails])},
                "weight": 100_000,
                "next": {"statusTemplate": "phase: Failed\n"},
            },
        }),
        stage("pod-delete", all(&[&is(DELETED, "Exists", &[])]), Some((2000, GONE_AFTER)), json!({"delete": true})),
    ]
}

fn is(key: &str, operator: &str, values: &[&str]) -> Value {
    if values.is_empty() {
        json!({"key": key, "operator": operator})
    } else {
        json!({"key": key, "operator": operator, "values": values})
    }
}

/// `delay` is milliseconds, and the expression that may name another time.
fn stage(name: &str, rules: Value, delay: Option<(u32, &str)>, next: Value) -> Value {
    let mut spec = json!({
        "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
        "selector": {"matchExpressions": rules},
        "next": next,
    });
    if let (Some((milliseconds, from)), Some(fields)) = (delay, spec.as_object_mut()) {
        let delay = json!({"durationMilliseconds": milliseconds, "durationFrom": {"expressionFrom": from}});
        fields.insert("delay".to_owned(), delay);
    }
    json!({"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec})
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Ready,
    NotReady,
    Crashing,
}

/// A pod status as kwok's template; kwok merges it into the one that is there.
fn status(state: State, first: bool) -> String {
    let ready = if state == State::Ready { "True" } else { "False" };
    let mut lines = vec!["{{ $now := Now }}".to_owned(), "phase: Running".to_owned(), "conditions:".to_owned()];
    let mut condition = |kind: &str, value: &str| {
        lines.push(format!("- type: {kind}\n  status: \"{value}\"\n  lastTransitionTime: {{{{ $now | Quote }}}}"));
    };
    condition("Ready", ready);
    condition("ContainersReady", ready);
    if first {
        condition("Initialized", "True");
        lines.push("{{ range .spec.readinessGates }}".to_owned());
        lines.push(format!("- type: {{{{ .conditionType | Quote }}}}\n  status: \"{ready}\"\n  lastTransitionTime: {{{{ $now | Quote }}}}"));
        lines.push("{{ end }}".to_owned());
    }
    // Sorted by name, as a kubelet sorts them.
    lines.push("{{ $pod := . }}{{ $names := list }}".to_owned());
    lines.push("{{ range .spec.containers }}{{ $names = append $names .name }}{{ end }}".to_owned());
    lines.push("containerStatuses:\n{{ range $name := $names | sortAlpha }}".to_owned());
    lines.push("{{ range $pod.spec.containers }}{{ if eq .name $name }}".to_owned());
    lines.push("- name: {{ .name | Quote }}\n  image: {{ .image | Quote }}".to_owned());
    // A digest that depends on the image, like a real one.
    lines.push(
        "  imageID: {{ printf \"%s@sha256:%s\" (splitList \":\" .image | first) (sha256sum .image) | Quote }}"
            .to_owned(),
    );
    lines.push(format!("  ready: {}\n  started: true", state == State::Ready));
    lines.push(
        match state {
            State::Crashing => "  restartCount: 3\n  state:\n    waiting:\n      reason: CrashLoopBackOff\n      message: back-off restarting failed container",
            State::Ready | State::NotReady => "  restartCount: 0\n  state:\n    running:\n      startedAt: {{ $now | Quote }}",
        }
        .to_owned(),
    );
    lines.push("{{ end }}{{ end }}{{ end }}".to_owned());
    if first {
        lines.push(ADDRESSES.to_owned());
    }
    lines.join("\n") + "\n"
}

const ADDRESSES: &str = r#"hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
{{ $ip := PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) }}
podIP: {{ $ip | Quote }}
podIPs:
- ip: {{ $ip | Quote }}
startTime: {{ $now | Quote }}"#;
