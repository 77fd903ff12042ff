use std::time::Duration;

use serde_json::{Value, json};

use super::fixtures::*;
use crate::world::{Behaviour, Behaviours, Readiness, Settings};

fn ready(pod: &Value) -> bool {
    crate::world::pods::is_ready(pod)
}

#[tokio::test(start_paused = true)]
async fn a_replica_set_has_its_pods_and_counts_them() {
    let stage = Stage::new(Settings::default());

    stage.create(set("app", 2, &[])).await;

    let status = json!({
        "replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 2, "availableReplicas": 2, "observedGeneration": 1,
    });
    assert_eq!(stage.get("ReplicaSet", "app")["status"], status);
    for pod in stage.list("Pod") {
        assert!(ready(&pod));
        assert!(pod["metadata"]["name"].as_str().unwrap().starts_with("app-"));
        assert_eq!(pod["metadata"]["labels"]["version"], "v1");
        assert_eq!(pod["metadata"]["ownerReferences"][0]["controller"], true);
        assert!(pod["status"]["podIP"].is_string());
        assert!(pod["status"]["containerStatuses"][0]["imageID"].as_str().unwrap().contains("@sha256:"));
    }
}

#[tokio::test(start_paused = true)]
async fn statuses_of_containers_are_sorted_by_name_as_a_kubelet_sorts_them() {
    let stage = Stage::new(Settings::default());
    let mut set = set("app", 1, &[]);
    let containers = set["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
    containers.push(json!({ "name": "a-proxy", "image": "example.test/proxy:1" }));

    stage.create(set).await;

    let pod = stage.list("Pod")[0].clone();
    let names = |list: &Value| list.as_array().unwrap().iter().map(|one| one["name"].clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&pod["spec"]["containers"]), names(&pod["status"]["containerStatuses"])),
        (vec![json!("app"), json!("a-proxy")], vec![json!("a-proxy"), json!("app")])
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_ready_after_its_label_s_time() {
    let stage = Stage::new(Settings::default());
    stage.create(set("app", 1, &[("kulta.test/ready-after", "3s")])).await;

    pass(2900).await;
    assert_eq!(stage.get("ReplicaSet", "app")["status"]["readyReplicas"], Value::Null);
    pass(200).await;
    assert_eq!(stage.get("ReplicaSet", "app")["status"]["readyReplicas"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_ready_after_its_image_s_time() {
    let slow = Behaviour { ready: Readiness::After(Duration::from_secs(3600)), ..Behaviour::default() };
    let behaviours = Behaviours { images: [(IMAGE.to_owned(), slow)].into(), ..Behaviours::default() };
    let stage = Stage::new(Settings { behaviours, ..Settings::default() });
    stage.create(set("app", 1, &[])).await;

    pass(3_599_000).await;
    assert!(!ready(&stage.list("Pod")[0]));
    pass(1100).await;
    assert!(ready(&stage.list("Pod")[0]));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_never_ready_becomes_ready_without_its_label() {
    let stage = Stage::new(Settings::default());
    stage.create(set("app", 1, &[("kulta.test/ready", "never")])).await;
    let pod = stage.list("Pod")[0].clone();
    assert_eq!((pod["status"]["phase"].as_str(), ready(&pod)), (Some("Running"), false));

    let name = pod["metadata"]["name"].as_str().unwrap();
    stage.patch("Pod", name, json!({"metadata": {"labels": {"kulta.test/ready": null}}})).await;
    assert!(ready(&stage.get("Pod", name)));

    stage.patch("Pod", name, json!({"metadata": {"labels": {"kulta.test/ready": "never"}}})).await;
    assert!(!ready(&stage.get("Pod", name)));
}

#[tokio::test(start_paused = true)]
async fn a_crashing_pod_is_ready_first_and_then_never_again() {
    let stage = Stage::new(Settings::default());
    stage.create(set("app", 1, &[("kulta.test/crash-after", "2s")])).await;
    assert!(ready(&stage.list("Pod")[0]));

    pass(60_000).await;

    let pod = stage.list("Pod")[0].clone();
    assert!(!ready(&pod));
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"], "CrashLoopBackOff");
}

#[tokio::test(start_paused = true)]
async fn a_ready_pod_is_available_after_min_ready_seconds() {
    let stage = Stage::new(Settings::default());
    let mut app = set("app", 1, &[]);
    app["spec"]["minReadySeconds"] = json!(10);
    stage.create(app).await;

    pass(9900).await;
    assert_eq!(stage.get("ReplicaSet", "app")["status"]["availableReplicas"], Value::Null);
    pass(200).await;
    assert_eq!(stage.get("ReplicaSet", "app")["status"]["availableReplicas"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_scale_down_deletes_unready_pods_first() {
    let stage = Stage::new(Settings::default());
    stage.create(set("app", 3, &[])).await;
    let name = stage.list("Pod")[1]["metadata"]["name"].as_str().unwrap().to_owned();
    stage.patch("Pod", &name, json!({"metadata": {"labels": {"kulta.test/ready": "never"}}})).await;

    stage.patch("ReplicaSet", "app", json!({"spec": {"replicas": 2}})).await;

    let pods = stage.list("Pod");
    let going = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(going.map(|pod| pod["metadata"]["name"].as_str().unwrap()).collect::<Vec<_>>(), [name]);
    assert_eq!(stage.get("ReplicaSet", "app")["status"]["observedGeneration"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_is_replaced_at_once_and_terminates_for_its_time() {
    let stage = Stage::new(Settings::default());
    stage.create(set("app", 1, &[("kulta.test/gone-after", "5s")])).await;
    let name = stage.list("Pod")[0]["metadata"]["name"].as_str().unwrap().to_owned();

    stage.delete("Pod", &name).await;
    assert_eq!(stage.list("Pod").len(), 2);
    assert_eq!(stage.get("ReplicaSet", "app")["status"]["replicas"], 1);

    pass(4900).await;
    assert_eq!(stage.list("Pod").len(), 2);
    pass(200).await;
    let left = stage.list("Pod");
    assert_eq!(left.len(), 1);
    assert_ne!(left[0]["metadata"]["name"], name);
}

#[tokio::test(start_paused = true)]
async fn pods_are_deleted_with_their_replica_set() {
    let stage = Stage::new(Settings::default());
    stage.create(set("app", 2, &[])).await;

    stage.delete("ReplicaSet", "app").await;
    pass(2100).await;

    assert!(stage.list("Pod").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_service_s_slice_follows_its_pods() {
    let stage = Stage::new(Settings::default());
    stage.create(service("app")).await;
    assert_eq!(stage.list("EndpointSlice")[0]["endpoints"], json!([]));

    stage.create(set("app", 1, &[])).await;

    let (slices, pods) = (stage.list("EndpointSlice"), stage.list("Pod"));
    let slice = &slices[0];
    assert_eq!(slices.len(), 1);
    assert_eq!(slice["metadata"]["labels"]["kubernetes.io/service-name"], "app");
    assert_eq!(slice["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
    let endpoint = &slice["endpoints"][0];
    assert_eq!(endpoint["addresses"], json!([pods[0]["status"]["podIP"]]));
    assert_eq!(endpoint["conditions"], json!({"ready": true, "serving": true, "terminating": false}));
    assert_eq!(endpoint["targetRef"]["uid"], pods[0]["metadata"]["uid"]);
}

#[tokio::test(start_paused = true)]
async fn a_terminating_pod_serves_but_is_not_ready() {
    let stage = Stage::new(Settings::default());
    stage.create(service("app")).await;
    stage.create(set("app", 1, &[])).await;

    stage.patch("ReplicaSet", "app", json!({"spec": {"replicas": 0}})).await;
    let conditions = stage.list("EndpointSlice")[0]["endpoints"][0]["conditions"].clone();
    assert_eq!(conditions, json!({"ready": false, "serving": true, "terminating": true}));

    pass(2100).await;
    assert_eq!(stage.list("EndpointSlice")[0]["endpoints"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_service_with_a_changed_selector_has_the_new_pods_in_its_slice() {
    let stage = Stage::new(Settings::default());
    stage.create(service("app")).await;
    stage.create(set("app", 1, &[])).await;
    stage.create(set("other", 1, &[])).await;

    stage.patch("Service", "app", json!({"spec": {"selector": {"app": "other"}}})).await;

    let found = stage.list("EndpointSlice")[0]["endpoints"].clone();
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert!(found[0]["targetRef"]["name"].as_str().unwrap().starts_with("other-"));
}

#[tokio::test(start_paused = true)]
async fn a_slice_that_others_changed_or_deleted_is_corrected() {
    let stage = Stage::new(Settings::default());
    stage.create(service("app")).await;
    stage.create(set("app", 1, &[])).await;
    let before = stage.list("EndpointSlice")[0].clone();
    let name = before["metadata"]["name"].as_str().unwrap();

    stage.patch("EndpointSlice", name, json!({"endpoints": []})).await;
    assert_eq!(stage.list("EndpointSlice")[0]["endpoints"], before["endpoints"]);

    stage.delete("EndpointSlice", name).await;
    assert_eq!(stage.list("EndpointSlice")[0]["endpoints"], before["endpoints"]);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_simulation_continues_with_the_existing_pods() {
    let stage = Stage::new(Settings::default());
    stage.create(set("app", 1, &[("kulta.test/crash-after", "5s")])).await;

    let stage = stage.start_over();
    pass(4000).await;
    assert!(ready(&stage.list("Pod")[0]));
    pass(1100).await;
    assert!(!ready(&stage.list("Pod")[0]));

    stage.create(set("other", 1, &[])).await;
    let pods = stage.list("Pod");
    assert_ne!(pods[0]["status"]["podIP"], pods[1]["status"]["podIP"]);
}
