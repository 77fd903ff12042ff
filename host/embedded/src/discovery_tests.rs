use super::*;

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn replica_sets() -> Resource {
    let scale = Subresource {
        name: "scale".into(),
        group: "autoscaling".into(),
        version: "v1".into(),
        kind: "Scale".into(),
        verbs: texts(&["get"]),
    };
    Resource {
        group: "apps".into(),
        version: "v1".into(),
        kind: "ReplicaSet".into(),
        plural: "replicasets".into(),
        singular: "replicaset".into(),
        short_names: texts(&["rs"]),
        categories: texts(&["all"]),
        namespaced: true,
        verbs: texts(&["get", "list"]),
        subresources: vec![scale],
    }
}

fn namespaces() -> Resource {
    Resource {
        version: "v1".into(),
        kind: "Namespace".into(),
        plural: "namespaces".into(),
        singular: "namespace".into(),
        verbs: texts(&["get"]),
        ..Resource::default()
    }
}

fn discovery() -> Discovery {
    Discovery::new(vec![namespaces(), replica_sets()])
}

#[test]
fn the_core_group_is_separate_from_the_others() {
    assert_eq!(discovery().core_versions()["versions"], json!(["v1"]));
    assert_eq!(
        discovery().groups()["groups"],
        json!([{
            "name": "apps",
            "versions": [{ "groupVersion": "apps/v1", "version": "v1" }],
            "preferredVersion": { "groupVersion": "apps/v1", "version": "v1" },
        }])
    );
}

#[test]
fn a_list_holds_resources_and_their_subresources() {
    assert_eq!(
        discovery().resource_list("apps", "v1").unwrap(),
        json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": "apps/v1",
            "resources": [
                {
                    "name": "replicasets",
                    "singularName": "replicaset",
                    "namespaced": true,
                    "kind": "ReplicaSet",
                    "verbs": ["get", "list"],
                    "shortNames": ["rs"],
                    "categories": ["all"],
                },
                {
                    "name": "replicasets/scale",
                    "singularName": "",
                    "namespaced": true,
                    "group": "autoscaling",
                    "version": "v1",
                    "kind": "Scale",
                    "verbs": ["get"],
                },
            ],
        })
    );
}

#[test]
fn an_unserved_group_has_no_list() {
    assert_eq!(discovery().resource_list("apps", "v2"), None);
    assert_eq!(discovery().group("batch"), None);
    assert_eq!(discovery().openapi("apps", "v2"), None);
}

#[test]
fn aggregated_discovery_contains_everything() {
    let group = &discovery().aggregated_groups()["items"][0];

    assert_eq!(group["metadata"], json!({ "name": "apps" }));
    assert_eq!(
        group["versions"][0]["resources"][0],
        json!({
            "resource": "replicasets",
            "responseKind": { "group": "apps", "version": "v1", "kind": "ReplicaSet" },
            "scope": "Namespaced",
            "singularResource": "replicaset",
            "verbs": ["get", "list"],
            "shortNames": ["rs"],
            "categories": ["all"],
            "subresources": [{
                "subresource": "scale",
                "responseKind": { "group": "autoscaling", "version": "v1", "kind": "Scale" },
                "verbs": ["get"],
            }],
        })
    );
}

#[test]
fn aggregated_discovery_is_returned_if_it_is_preferred() {
    let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

    assert!(wants_aggregated(&format!("{AGGREGATED},{beta},application/json")));
    assert!(wants_aggregated("application/json; as=APIGroupDiscoveryList; v=v2; g=apidiscovery.k8s.io"));
    assert!(!wants_aggregated("application/json"));
    assert!(!wants_aggregated(&format!("{beta},application/json")));
    assert!(!wants_aggregated(""));
}

#[test]
fn a_patch_is_documented_with_its_kind_and_field_validation() {
    let document = discovery().openapi("apps", "v1").unwrap();

    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/replicasets/{name}"]["patch"];
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({ "group": "apps", "version": "v1", "kind": "ReplicaSet" })
    );
    let names: Vec<&Value> =
        patch["parameters"].as_array().unwrap().iter().map(|parameter| &parameter["name"]).collect();
    assert!(names.contains(&&json!("fieldValidation")), "{names:?}");
}

#[test]
fn the_index_names_documents_whose_paths_change_with_their_content() {
    let url = |discovery: Discovery| {
        discovery.openapi_index()["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap().to_owned()
    };
    let one = url(discovery());
    let other = url(Discovery::new(vec![Resource { plural: "others".into(), ..replica_sets() }]));

    assert!(one.starts_with("/openapi/v3/apis/apps/v1?hash="), "{one}");
    assert_ne!(one, other);
    assert_eq!(one, url(discovery()));
}

#[test]
fn clients_can_parse_the_version() {
    assert_eq!((&version()["major"], &version()["minor"]), (&json!("1"), &json!("34")));
}
