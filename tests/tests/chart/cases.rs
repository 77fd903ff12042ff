//! A value of the chart, and what it changes in the manifests: at least one case for each value.

use serde_json::{Value, json};

use crate::expected::{
    Expected::{self, Argument, Has, Lacks, NoObject, Object},
    container, container_has, deployment, is, pod, volume,
};

/// Values, and what they change.
pub type Case = (Value, Vec<Expected>);

pub fn all() -> Vec<Case> {
    [names(), workload(), flags(), plugins(), permissions(), scheduling(), network()].into_iter().flatten().collect()
}

fn names() -> Vec<Case> {
    let label = Value::from("web");
    vec![
        (
            json!({"fullnameOverride": "rollouts"}),
            vec![Object("Deployment", "rollouts"), Object("ClusterRole", "rollouts")],
        ),
        (
            json!({"commonLabels": {"team": "web"}}),
            vec![
                deployment("/metadata/labels/team", label.clone()),
                is("ClusterRole", "kulta", "/metadata/labels/team", label.clone()),
                is("CustomResourceDefinition", "rollouts.argoproj.io", "/metadata/labels/team", label),
            ],
        ),
        (
            json!({"crds": {"install": false}}),
            vec![
                NoObject("CustomResourceDefinition", "rollouts.argoproj.io"),
                NoObject("CustomResourceDefinition", "plugins.kulta.io"),
            ],
        ),
    ]
}

fn workload() -> Vec<Case> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let by_digest = format!("docker.io/library/kulta:{}@{digest}", env!("CARGO_PKG_VERSION"));
    let registry = format!("registry.example.com/kulta:{}", env!("CARGO_PKG_VERSION"));
    vec![
        (json!({"image": {"repository": "registry.example.com/kulta"}}), vec![container("/image", json!(registry))]),
        (json!({"image": {"tag": "edge"}}), vec![container("/image", json!("docker.io/library/kulta:edge"))]),
        (json!({"image": {"digest": digest}}), vec![container("/image", json!(by_digest))]),
        (json!({"image": {"pullPolicy": "Never"}}), vec![container("/imagePullPolicy", json!("Never"))]),
        (
            json!({"imagePullSecrets": [{"name": "registry"}]}),
            vec![pod("/spec/imagePullSecrets", json!([{"name": "registry"}]))],
        ),
        (
            json!({"replicas": 2}),
            vec![
                deployment("/spec/replicas", json!(2)),
                deployment("/spec/strategy/type", json!("RollingUpdate")),
                container("/readinessProbe/httpGet/path", json!("/healthz")),
            ],
        ),
        (
            json!({"resources": {"limits": {"memory": "1Gi"}}}),
            vec![container("/resources/limits/memory", json!("1Gi"))],
        ),
        (json!({"podSecurityContext": {"fsGroup": 1000}}), vec![pod("/spec/securityContext/fsGroup", json!(1000))]),
        (json!({"securityContext": {"runAsUser": 1000}}), vec![container("/securityContext/runAsUser", json!(1000))]),
        (json!({"livenessProbe": {"periodSeconds": 30}}), vec![container("/livenessProbe/periodSeconds", json!(30))]),
        (
            json!({"readinessProbe": {"failureThreshold": 5}}),
            vec![container("/readinessProbe/failureThreshold", json!(5))],
        ),
        (json!({"terminationGracePeriodSeconds": 60}), vec![pod("/spec/terminationGracePeriodSeconds", json!(60))]),
        (json!({"podAnnotations": {"a": "b"}}), vec![pod("/metadata/annotations/a", json!("b"))]),
        (json!({"podLabels": {"a": "b"}}), vec![pod("/metadata/labels/a", json!("b"))]),
        (
            json!({"extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]}),
            vec![container_has("env", json!({"name": "HTTPS_PROXY", "value": "http://proxy:3128"}))],
        ),
        (
            json!({"extraVolumes": [{"name": "x", "emptyDir": {}}], "extraVolumeMounts": [{"name": "x", "mountPath": "/x"}]}),
            vec![
                volume(json!({"name": "x", "emptyDir": {}})),
                container_has("volumeMounts", json!({"name": "x", "mountPath": "/x"})),
            ],
        ),
        (
            json!({"caBundle": {"configMap": "company-ca"}}),
            vec![
                volume(json!({"name": "ca", "configMap": {"name": "company-ca"}})),
                container_has("volumeMounts", json!({"name": "ca", "mountPath": "/etc/kulta/ca", "readOnly": true})),
                container_has("env", json!({"name": "SSL_CERT_DIR", "value": "/etc/kulta/ca"})),
            ],
        ),
    ]
}

fn flags() -> Vec<Case> {
    vec![
        (json!({"controller": {"instanceID": "blue"}}), vec![Argument("--instance-id=blue")]),
        (json!({"controller": {"workers": 16}}), vec![Argument("--workers=16")]),
        (
            json!({"controller": {"listen": "[::]:9000"}}),
            vec![Argument("--listen=[::]:9000"), container("/ports/0/containerPort", json!(9000))],
        ),
        (json!({"controller": {"logFormat": "json"}}), vec![Argument("--log-format=json")]),
        (
            json!({"controller": {"logLevel": "info,kulta_controller=debug"}}),
            vec![Argument("--log-level=info,kulta_controller=debug")],
        ),
        (
            json!({"leaderElection": {"enabled": false}}),
            vec![Argument("--leader-elect=false"), NoObject("Role", "kulta-lease")],
        ),
        (
            json!({"leaderElection": {"namespace": "default"}}),
            vec![
                Argument("--lease-namespace=default"),
                is("Role", "kulta-lease", "/metadata/namespace", json!("default")),
            ],
        ),
        (
            json!({"leaderElection": {"leaseDuration": "1m", "renewDeadline": "40s", "retryPeriod": "5s"}}),
            vec![
                Argument("--leader-election-lease-duration=1m"),
                Argument("--leader-election-renew-deadline=40s"),
                Argument("--leader-election-retry-period=5s"),
            ],
        ),
        (
            json!({"proxy": {"http": "http://proxy:3128", "https": "http://proxy:3129", "noProxy": [".svc", ".local"]}}),
            vec![
                Argument("--http-proxy=http://proxy:3128"),
                Argument("--https-proxy=http://proxy:3129"),
                Argument("--no-proxy=.svc,.local"),
            ],
        ),
        (
            json!({"cdevents": {
                "sink": "https://events.example.com", "mode": "structured", "environment": "production",
                "source": "https://kulta.example.com", "gitCommitAnnotations": ["example.com/commit", "example.com/sha"],
            }}),
            vec![
                Argument("--cdevents-sink=https://events.example.com"),
                Argument("--cdevents-mode=structured"),
                Argument("--environment=production"),
                Argument("--event-source=https://kulta.example.com"),
                Argument("--git-commit-annotations=example.com/commit,example.com/sha"),
            ],
        ),
        (
            json!({"analysis": {
                "prometheusAddress": "http://prometheus:9090", "urlPrefixes": ["https://a.example", "https://b.example"],
                "deniedNetworks": ["10.1.0.0/16", "10.2.0.0/16"], "allowLoopback": true,
            }}),
            vec![
                Argument("--prometheus-address=http://prometheus:9090"),
                Argument("--analysis-url-prefix=https://a.example,https://b.example"),
                Argument("--analysis-deny=10.1.0.0/16,10.2.0.0/16"),
                Argument("--analysis-loopback"),
            ],
        ),
        (
            json!({"extraArgs": ["--analysis-record=/var/cache/kulta/requests.jsonl"]}),
            vec![Argument("--analysis-record=/var/cache/kulta/requests.jsonl")],
        ),
    ]
}

fn plugins() -> Vec<Case> {
    let config_map = json!({"configMap": {"namespace": "kulta-system", "name": "gate", "key": "gate.wasm"}});
    let spec = json!({
        "source": config_map, "limits": {"memory": "32Mi"}, "grants": [{"urlPrefix": "https://a.example"}],
        "config": {"max": 0.05},
    });
    let image = json!({"source": {"oci": {"image": "registry.example.com/gate:1"}}});
    let id = "/metadata/labels/argo-rollouts.argoproj.io~1controller-instance-id";
    vec![
        (json!({"plugins": {"objects": {"gate": spec}}}), vec![is("Plugin", "gate", "/spec", spec.clone())]),
        (
            json!({"plugins": {"objects": {"gate": spec}}, "controller": {"instanceID": "blue"}}),
            vec![is("Plugin", "gate", id, json!("blue"))],
        ),
        (
            json!({"plugins": {"allowTags": true, "objects": {"gate": image}}}),
            vec![Argument("--plugin-allow-tags"), is("Plugin", "gate", "/spec", image.clone())],
        ),
        (
            json!({"plugins": {"cache": {"sizeLimit": "4Gi"}}}),
            vec![volume(json!({"name": "cache", "emptyDir": {"sizeLimit": "4Gi"}}))],
        ),
        (
            json!({"plugins": {"cache": {"claim": "kulta"}}}),
            vec![volume(json!({"name": "cache", "persistentVolumeClaim": {"claimName": "kulta"}}))],
        ),
        (json!({"plugins": {"compileMemory": "512Mi"}}), vec![Argument("--plugin-compile-memory=512Mi")]),
        (
            json!({"plugins": {"httpRegistries": ["registry.ci:5000", "localhost:5000"]}}),
            vec![Argument("--plugin-http-registries=registry.ci:5000,localhost:5000")],
        ),
        (
            json!({"plugins": {"trustedKeys": {"configMap": "keys", "key": "team.pub"}}}),
            vec![
                Argument("--plugin-trusted-keys=/etc/kulta/trusted-keys/team.pub"),
                volume(json!({"name": "trusted-keys", "configMap": {"name": "keys"}})),
                container_has(
                    "volumeMounts",
                    json!({"name": "trusted-keys", "mountPath": "/etc/kulta/trusted-keys", "readOnly": true}),
                ),
            ],
        ),
    ]
}

/// The rule of the role that has this resource.
fn rule(kind: &'static str, name: &'static str, group: &str, resources: Value, verbs: Value) -> Expected {
    Has(kind, name, "/rules".to_owned(), json!({"apiGroups": [group], "resources": resources, "verbs": verbs}))
}

fn permissions() -> Vec<Case> {
    let (jobs, secrets) = ("kulta-analysis-jobs", "kulta-analysis-secrets");
    let of_jobs = |kind| rule(kind, jobs, "batch", json!(["jobs"]), json!(["get", "create", "delete"]));
    let of_secrets = |kind| rule(kind, secrets, "", json!(["secrets"]), json!(["get"]));
    let in_default = |name| is("Role", name, "/metadata/namespace", json!("default"));
    let named = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["token"]});
    let rollouts = |kind| rule(kind, "kulta", "argoproj.io", json!(["rollouts"]), json!(["list", "watch", "patch"]));
    let plugins = |verbs| rule("ClusterRole", "kulta", "kulta.io", json!(["plugins"]), verbs);
    let group = "gateway.networking.k8s.io";
    let routes = json!({"apiGroups": [group], "resources": ["httproutes", "grpcroutes", "tcproutes", "tlsroutes"], "verbs": ["list", "watch", "patch"]});
    vec![
        (
            json!({"serviceAccount": {"create": false, "name": "existing"}}),
            vec![
                NoObject("ServiceAccount", "kulta"),
                pod("/spec/serviceAccountName", json!("existing")),
                is("ClusterRoleBinding", "kulta", "/subjects/0/name", json!("existing")),
            ],
        ),
        (
            json!({"serviceAccount": {"annotations": {"example.com/role": "kulta"}}}),
            vec![is("ServiceAccount", "kulta", "/metadata/annotations", json!({"example.com/role": "kulta"}))],
        ),
        (json!({"rbac": {"create": false}}), vec![NoObject("ClusterRole", "kulta"), NoObject("Role", "kulta-plugins")]),
        (
            json!({"rbac": {"aggregateClusterRoles": false}}),
            vec![NoObject("ClusterRole", "kulta-view"), NoObject("ClusterRole", "kulta-edit")],
        ),
        (json!({"rbac": {"gatewayAPI": false}}), vec![Lacks("ClusterRole", "kulta", "/rules".to_owned(), routes)]),
        (json!({"rbac": {"jobs": {"scope": "cluster"}}}), vec![of_jobs("ClusterRole")]),
        (
            json!({"rbac": {"jobs": {"scope": "namespaces", "namespaces": ["default"]}}}),
            vec![of_jobs("Role"), in_default(jobs)],
        ),
        (json!({"rbac": {"secrets": {"scope": "cluster"}}}), vec![of_secrets("ClusterRole")]),
        (
            json!({"rbac": {"secrets": {"scope": "namespaces", "namespaces": ["default"]}}}),
            vec![of_secrets("Role"), in_default(secrets)],
        ),
        (
            json!({"rbac": {"secrets": {"scope": "namespaces", "namespaces": ["default"], "names": ["token"]}}}),
            vec![Has("Role", secrets, "/rules".to_owned(), named)],
        ),
        (
            json!({"controller": {"namespaces": ["default", "kube-public"]}}),
            vec![
                Argument("--namespaces=default,kube-public"),
                rollouts("Role"),
                Object("RoleBinding", "kulta"),
                plugins(json!(["list", "watch"])),
            ],
        ),
        (
            json!({"controller": {"namespaces": ["default"], "instanceID": "blue"}}),
            vec![rollouts("Role"), Object("Role", "kulta-plugin-events")],
        ),
    ]
}

fn scheduling() -> Vec<Case> {
    let toleration = json!({"key": "infra", "operator": "Exists"});
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "infra", "operator": "Exists"}]}
    ]}}});
    let spread = json!({
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "kulta"}},
    });
    vec![
        (
            json!({"priorityClassName": "system-cluster-critical"}),
            vec![pod("/spec/priorityClassName", json!("system-cluster-critical"))],
        ),
        (json!({"nodeSelector": {"infra": "yes"}}), vec![pod("/spec/nodeSelector", json!({"infra": "yes"}))]),
        (json!({"tolerations": [toleration]}), vec![pod("/spec/tolerations", json!([toleration]))]),
        (json!({"affinity": affinity}), vec![pod("/spec/affinity", affinity.clone())]),
        (json!({"topologySpreadConstraints": [spread]}), vec![pod("/spec/topologySpreadConstraints", json!([spread]))]),
        (
            json!({"replicas": 3, "podDisruptionBudget": {"enabled": true, "maxUnavailable": 2}}),
            vec![is("PodDisruptionBudget", "kulta", "/spec/maxUnavailable", json!(2))],
        ),
    ]
}

fn network() -> Vec<Case> {
    let policy = |path: &str, value| is("NetworkPolicy", "kulta", &format!("/spec{path}"), value);
    let monitoring = json!({"namespaceSelector": {"matchLabels": {"name": "monitoring"}}});
    let api_server = json!({"ports": [{"port": 6443, "protocol": "TCP"}]});
    let dns = json!({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]});
    let selector = json!({"app.kubernetes.io/name": "kulta", "app.kubernetes.io/instance": "kulta"});
    vec![
        (
            json!({"networkPolicy": {"enabled": true}}),
            vec![
                policy("/policyTypes", json!(["Ingress"])),
                policy("/ingress", json!([{"ports": [{"port": "http", "protocol": "TCP"}]}])),
                policy("/podSelector/matchLabels", selector.clone()),
            ],
        ),
        (
            json!({"networkPolicy": {"enabled": true, "ingressFrom": [monitoring], "egress": [api_server]}}),
            vec![
                policy("/policyTypes", json!(["Ingress", "Egress"])),
                policy("/ingress/0/from", json!([monitoring])),
                policy("/egress", json!([dns, api_server])),
            ],
        ),
        (
            json!({"service": {"port": 80}}),
            vec![is("Service", "kulta", "/spec/ports/0", json!({"name": "http", "port": 80, "targetPort": "http"}))],
        ),
        (
            json!({"service": {"annotations": {"prometheus.io/scrape": "true"}}}),
            vec![is("Service", "kulta", "/metadata/annotations", json!({"prometheus.io/scrape": "true"}))],
        ),
        (
            json!({"serviceMonitor": {"enabled": true, "interval": "15s", "labels": {"release": "prometheus"}}}),
            vec![
                is("ServiceMonitor", "kulta", "/metadata/labels/release", json!("prometheus")),
                is(
                    "ServiceMonitor",
                    "kulta",
                    "/spec",
                    json!({
                        "selector": {"matchLabels": selector},
                        "endpoints": [{"port": "http", "path": "/metrics", "interval": "15s"}],
                    }),
                ),
            ],
        ),
    ]
}
