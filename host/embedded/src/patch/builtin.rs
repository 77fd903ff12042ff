//! The lists and maps of the built-in kinds that are not simply replaced, as the OpenAPI document of Kubernetes 1.34 marks them
//! (`x-kubernetes-list-type`, `x-kubernetes-map-type`, `x-kubernetes-patch-merge-key`).

/// A field with a mark, or with marked fields below it. Fields without are left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub name: &'static str,
    pub form: Form,
    /// Of the object, or of the list's items.
    pub fields: &'static [Entry],
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Object,
    /// An object with one owner as a whole.
    Atomic,
    /// A list without doubles, which a strategic merge patch adds to.
    MergedSet,
    /// A list with one owner, merged by this key in a strategic merge patch.
    AtomicMergedBy(&'static str),
    /// A list whose items these fields tell apart.
    Map(&'static [&'static str]),
    /// The same, merged by one key in a strategic merge patch.
    MergedMap(&'static [&'static str], &'static str),
}

/// A port's protocol may be left out.
pub(super) const PROTOCOL: &str = "protocol";
pub(super) const DEFAULT_PROTOCOL: &str = "TCP";

const fn object(name: &'static str, fields: &'static [Entry]) -> Entry {
    Entry { name, form: Form::Object, fields }
}

const fn atomic(name: &'static str) -> Entry {
    Entry { name, form: Form::Atomic, fields: &[] }
}

const fn merged_set(name: &'static str) -> Entry {
    Entry { name, form: Form::MergedSet, fields: &[] }
}

const fn map(name: &'static str, keys: &'static [&'static str]) -> Entry {
    Entry { name, form: Form::Map(keys), fields: &[] }
}

const fn merged(
    name: &'static str,
    keys: &'static [&'static str],
    merged_by: &'static str,
    fields: &'static [Entry],
) -> Entry {
    Entry { name, form: Form::MergedMap(keys, merged_by), fields }
}

const BY_NAME: &[&str] = &["name"];
const BY_TYPE: &[&str] = &["type"];

pub(super) const OBJECT_META: &[Entry] = &[merged_set("finalizers"), merged("ownerReferences", &["uid"], "uid", &[])];

const METADATA: Entry = object("metadata", OBJECT_META);
const CONDITIONS: Entry = merged("conditions", BY_TYPE, "type", &[]);

const RESOURCES: Entry = object("resources", &[map("claims", BY_NAME)]);
const VOLUME_MOUNTS: Entry = merged("volumeMounts", &["mountPath"], "mountPath", &[]);

const ENV_SOURCES: &[Entry] = &[
    atomic("configMapKeyRef"),
    atomic("fieldRef"),
    atomic("fileKeyRef"),
    atomic("resourceFieldRef"),
    atomic("secretKeyRef"),
];

const CONTAINER: &[Entry] = &[
    merged("env", BY_NAME, "name", &[object("valueFrom", ENV_SOURCES)]),
    merged("ports", &["containerPort", PROTOCOL], "containerPort", &[]),
    RESOURCES,
    merged("volumeDevices", &["devicePath"], "devicePath", &[]),
    VOLUME_MOUNTS,
];

const SECRET_REF: &[Entry] = &[atomic("secretRef")];

const VOLUME: &[Entry] = &[
    object("cephfs", SECRET_REF),
    object("cinder", SECRET_REF),
    object("csi", &[atomic("nodePublishSecretRef")]),
    object(
        "ephemeral",
        &[object("volumeClaimTemplate", &[METADATA, object("spec", &[atomic("dataSource"), atomic("selector")])])],
    ),
    object("flexVolume", SECRET_REF),
    object("iscsi", SECRET_REF),
    object("rbd", SECRET_REF),
    object("scaleIO", SECRET_REF),
    object("storageos", SECRET_REF),
];

const SPREAD: &[Entry] = &[atomic("labelSelector")];

const POD_SPEC: &[Entry] = &[
    object("affinity", &[object("nodeAffinity", &[atomic("requiredDuringSchedulingIgnoredDuringExecution")])]),
    merged("containers", BY_NAME, "name", CONTAINER),
    merged("ephemeralContainers", BY_NAME, "name", CONTAINER),
    merged("hostAliases", &["ip"], "ip", &[]),
    merged("imagePullSecrets", BY_NAME, "name", &[]),
    merged("initContainers", BY_NAME, "name", CONTAINER),
    atomic("nodeSelector"),
    merged("resourceClaims", BY_NAME, "name", &[]),
    RESOURCES,
    merged("schedulingGates", BY_NAME, "name", &[]),
    merged("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"], "topologyKey", SPREAD),
    merged("volumes", BY_NAME, "name", VOLUME),
];

const POD_STATUS: &[Entry] = &[
    CONDITIONS,
    Entry { name: "hostIPs", form: Form::AtomicMergedBy("ip"), fields: &[] },
    merged("podIPs", &["ip"], "ip", &[]),
    merged("resourceClaimStatuses", BY_NAME, "name", &[]),
];

const TEMPLATE: Entry = object("template", &[METADATA, object("spec", POD_SPEC)]);
const CONDITIONS_ALONE: Entry = object("status", &[CONDITIONS]);

const POD: &[Entry] = &[METADATA, object("spec", POD_SPEC), object("status", POD_STATUS)];

const SERVICE: &[Entry] = &[
    METADATA,
    object("spec", &[merged("ports", &["port", PROTOCOL], "port", &[]), atomic("selector")]),
    CONDITIONS_ALONE,
];

const EVENT: &[Entry] = &[METADATA, atomic("involvedObject"), atomic("related")];

const NODE: &[Entry] = &[
    METADATA,
    object("spec", &[merged_set("podCIDRs")]),
    object("status", &[merged("addresses", BY_TYPE, "type", &[]), CONDITIONS]),
];

const SERVICE_ACCOUNT: &[Entry] = &[METADATA, merged("secrets", BY_NAME, "name", &[])];

/// ReplicaSets and Deployments.
const WORKLOAD: &[Entry] = &[METADATA, object("spec", &[atomic("selector"), TEMPLATE]), CONDITIONS_ALONE];

const CUSTOM_RESOURCE_DEFINITION: &[Entry] = &[METADATA, object("status", &[map("conditions", BY_TYPE)])];

const WITH_CONDITIONS: &[Entry] = &[METADATA, CONDITIONS_ALONE];
const METADATA_ALONE: &[Entry] = &[METADATA];

pub(super) fn kind(kind: &str) -> &'static [Entry] {
    match kind {
        "Pod" => POD,
        "Service" => SERVICE,
        "Event" => EVENT,
        "Namespace" => WITH_CONDITIONS,
        "Node" => NODE,
        "ServiceAccount" => SERVICE_ACCOUNT,
        "ReplicaSet" | "Deployment" => WORKLOAD,
        "CustomResourceDefinition" => CUSTOM_RESOURCE_DEFINITION,
        _ => METADATA_ALONE,
    }
}

/// The objects in a kind that are no pointers in the API server's own types, the longest path of each branch.
pub(super) fn always(kind: &str) -> &'static [&'static [&'static str]] {
    match kind {
        "Pod" | "Namespace" => &[&["spec"], &["status"]],
        "Service" => &[&["spec"], &["status", "loadBalancer"]],
        "Event" => &[&["involvedObject"], &["source"]],
        "Node" => &[&["spec"], &["status", "daemonEndpoints", "kubeletEndpoint"], &["status", "nodeInfo"]],
        "ReplicaSet" => &[&["spec", "template", "metadata"], &["spec", "template", "spec"], &["status"]],
        "Deployment" => {
            &[&["spec", "strategy"], &["spec", "template", "metadata"], &["spec", "template", "spec"], &["status"]]
        }
        "Lease" => &[&["spec"]],
        "CustomResourceDefinition" => &[&["spec", "names"], &["status", "acceptedNames"]],
        _ => &[],
    }
}
