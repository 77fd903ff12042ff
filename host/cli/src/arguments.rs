//! Command line flags; most of them can also be set by an environment variable.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kulta_fetch::{CloudEventsMode, IpNet, UrlPrefix};

use crate::demo::Speed;
use crate::plugin::PluginArguments;

/// Progressive delivery for Kubernetes: serves Argo Rollouts' objects, shifts traffic by Gateway API weights, and lets
/// sandboxed Wasm plugins decide
#[derive(Parser)]
#[command(name = "kulta", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the controller against the cluster of KUBECONFIG or of the pod's service account
    Controller(Box<ControllerArguments>),
    /// Print the CustomResourceDefinitions as YAML
    Crds,
    /// Show a good and a bad rollout on a cluster in memory; needs no setup and ends within a minute
    Demo(DemoArguments),
    /// Create, test and publish plugins
    Plugin(PluginArguments),
    /// Compile a component from standard input to standard output (used by the controller itself)
    #[command(hide = true, name = COMPILE_COMMAND)]
    Compile(CompileArguments),
}

/// The controller runs itself with this subcommand to compile a plugin.
pub const COMPILE_COMMAND: &str = "compile-component";
pub const COMPILE_MEMORY_FLAG: &str = "memory-mib";

#[derive(Args)]
pub struct CompileArguments {
    /// Limit of the process's address space, in MiB
    #[arg(long = COMPILE_MEMORY_FLAG, value_name = "MIB")]
    pub memory_mib: u32,
}

/// Enough for the largest known component, Python's runtime.
pub const COMPILE_MEMORY_MIB: u32 = 1_024;

#[derive(Args)]
pub struct ControllerArguments {
    /// Namespaces to serve, comma separated; if unset, all namespaces
    #[arg(long, env = "KULTA_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Serve only Rollouts with the label argo-rollouts.argoproj.io/controller-instance-id=ID; if unset, only Rollouts
    /// without the label
    #[arg(long, env = "KULTA_INSTANCE_ID", value_name = "ID")]
    pub instance_id: Option<String>,
    /// URL to send each transition to as a CDEvent (HTTP POST of a CloudEvent); if unset, no events are sent
    #[arg(long, env = "KULTA_CDEVENTS_SINK", value_name = "URL")]
    pub cdevents_sink: Option<String>,
    /// Content mode of CloudEvents
    #[arg(long, env = "KULTA_CDEVENTS_MODE", value_enum, default_value_t = CdEventsMode::Binary)]
    pub cdevents_mode: CdEventsMode,
    /// Name of the environment in events, such as production
    #[arg(long, env = "KULTA_ENVIRONMENT", default_value = "default", value_name = "NAME")]
    pub environment: String,
    /// Source of events: a URI or a path
    #[arg(long, env = "KULTA_EVENT_SOURCE", default_value = "/kulta", value_name = "URI")]
    pub event_source: String,
    /// Annotations that hold the git commit, comma separated; the first one that is set is used
    #[arg(
        long,
        env = "KULTA_GIT_COMMIT_ANNOTATIONS",
        value_delimiter = ',',
        default_value = "kulta.io/git-commit,org.opencontainers.image.revision",
        value_name = "KEYS"
    )]
    pub git_commit_annotations: Vec<String>,
    /// Prometheus for metrics that name no address; can also be set by ARGO_ROLLOUTS_PROMETHEUS_ADDRESS
    #[arg(long, env = "KULTA_PROMETHEUS_ADDRESS", value_name = "URL")]
    pub prometheus_address: Option<String>,
    /// URL prefixes that analyses may request, comma separated; if unset, any http or https URL
    #[arg(long, env = "KULTA_METRICS_URL_PREFIX", value_delimiter = ',', value_name = "URLS")]
    pub metrics_url_prefix: Vec<UrlPrefix>,
    /// Networks that analyses may not reach, comma separated, such as 10.1.0.0/16; link-local and metadata addresses
    /// are always denied
    #[arg(long, env = "KULTA_METRICS_DENY", value_delimiter = ',', value_name = "NETWORKS")]
    pub metrics_deny: Vec<IpNet>,
    /// Let analyses reach loopback addresses: for a sidecar, or for a controller outside the cluster
    #[arg(long, env = "KULTA_METRICS_LOOPBACK")]
    pub metrics_loopback: bool,
    /// File to append each request of analyses and its answer to, with secrets redacted
    #[arg(long, env = "KULTA_METRICS_RECORD", value_name = "FILE", conflicts_with = "metrics_replay")]
    pub metrics_record: Option<PathBuf>,
    /// File of --metrics-record to answer the requests of analyses from; no requests are sent
    #[arg(long, env = "KULTA_METRICS_REPLAY", value_name = "FILE")]
    pub metrics_replay: Option<PathBuf>,
    /// Folder for plugins and their compiled code, so that the next start needs no registry and compiles nothing.
    /// Created if it is missing; only this controller may use it. If unset, nothing is stored
    #[arg(long, env = "KULTA_PLUGIN_CACHE", value_name = "FOLDER")]
    pub plugin_cache: Option<PathBuf>,
    /// Memory limit for compiling one plugin, in MiB; each compilation runs in a separate process
    #[arg(long, env = "KULTA_PLUGIN_COMPILE_MEMORY_MIB", value_name = "MIB", default_value_t = COMPILE_MEMORY_MIB)]
    pub plugin_compile_memory_mib: u32,
    /// Let Plugins name images by tag alone; a tag is resolved once, and the Plugin's status records its digest
    #[arg(long, env = "KULTA_PLUGIN_ALLOW_TAGS")]
    pub plugin_allow_tags: bool,
    /// PEM file with public keys, such as cosign.pub: only images that one of these keys has signed are served as
    /// Plugins. If unset, no signature is required
    #[arg(long, env = "KULTA_PLUGIN_TRUSTED_KEYS", value_name = "FILE")]
    pub plugin_trusted_keys: Option<PathBuf>,
    /// Registries to use http for instead of https, comma separated, such as localhost:5000
    #[arg(long, env = "KULTA_PLUGIN_HTTP_REGISTRIES", value_delimiter = ',', value_name = "REGISTRIES")]
    pub plugin_http_registries: Vec<String>,
    /// PEM file with CA certificates for registries, in addition to the platform's
    #[arg(long, env = "KULTA_PLUGIN_REGISTRY_CA", value_name = "FILE")]
    pub plugin_registry_ca: Option<PathBuf>,
    /// Number of Rollouts that are reconciled in parallel
    #[arg(long, env = "KULTA_WORKERS", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,
    /// Address for /healthz, /readyz and /metrics
    #[arg(long, env = "KULTA_LISTEN", default_value = "0.0.0.0:8090", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Format of log lines
    #[arg(long, env = "KULTA_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Minimum log level, such as info or debug, or a filter such as kulta_controller=debug
    #[arg(long, env = "KULTA_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    pub log_level: String,
    /// Elect one active controller by a Lease; auto: in a pod, but not outside one
    #[arg(long, env = "KULTA_LEADER_ELECT", default_value = "auto")]
    pub leader_elect: LeaderElect,
    /// Name of the controller's pod. With --pod-uid it is the holder's identity in the Lease, so that a container that
    /// restarts in its pod leads again at once. If unset, the identity is the host name and a random part
    #[arg(long, env = "KULTA_POD_NAME", value_name = "NAME", requires = "pod_uid")]
    pub pod_name: Option<String>,
    /// UID of the controller's pod
    #[arg(long, env = "KULTA_POD_UID", value_name = "UID", requires = "pod_name")]
    pub pod_uid: Option<String>,
    /// The controller's own namespace, with the Secrets that Plugins name; if unset, the pod's namespace, or default
    /// outside a pod
    #[arg(long, env = "KULTA_OWN_NAMESPACE", value_name = "NAMESPACE")]
    pub own_namespace: Option<String>,
    /// Namespace of the Lease; if unset, the controller's own namespace
    #[arg(long, env = "KULTA_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,
}

#[derive(Args)]
pub struct DemoArguments {
    /// Speed factor, from 1 to 20
    #[arg(long, default_value = "1", value_name = "NUMBER")]
    pub speed: Speed,
    /// Keep the cluster and the controller running afterwards until Ctrl-C, and print the kubectl command for it
    #[arg(long)]
    pub keep: bool,
    /// Print lines instead of a picture; the default if the output is not a terminal
    #[arg(long)]
    pub plain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CdEventsMode {
    /// Attributes in HTTP headers; the body is the CDEvent
    Binary,
    /// Attributes in the body, with the CDEvent as its data
    Structured,
}

impl From<CdEventsMode> for CloudEventsMode {
    fn from(mode: CdEventsMode) -> Self {
        match mode {
            CdEventsMode::Binary => Self::Binary,
            CdEventsMode::Structured => Self::Structured,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LeaderElect {
    Auto,
    True,
    False,
}

impl LeaderElect {
    /// In a pod a service account is mounted.
    pub fn wanted(self, in_pod: bool) -> bool {
        match self {
            Self::Auto => in_pod,
            Self::True => true,
            Self::False => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_controller_outside_a_pod_uses_no_election_by_default() {
        assert_eq!(
            [LeaderElect::Auto, LeaderElect::True, LeaderElect::False].map(|elect| elect.wanted(false)),
            [false, true, false]
        );
    }

    #[test]
    fn the_deployment_names_the_pod_and_its_uid_to_the_controller() {
        let command = Arguments::command();
        let controller = command.find_subcommand("controller").unwrap();
        let known = |name: &str| controller.get_arguments().any(|flag| flag.get_env().is_some_and(|env| env == name));
        let manifest = include_str!("../../../deploy/controller.yaml");
        let document = serde_yaml::Deserializer::from_str(manifest).next().unwrap();
        let deployment: serde_json::Value = serde::Deserialize::deserialize(document).unwrap();
        let variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();

        let fields: Vec<(bool, &str)> = variables
            .iter()
            .map(|variable| {
                let (name, field) = (&variable["name"], &variable["valueFrom"]["fieldRef"]["fieldPath"]);
                (known(name.as_str().unwrap()), field.as_str().unwrap())
            })
            .collect();

        assert_eq!(fields, [(true, "metadata.name"), (true, "metadata.uid")]);
    }

    #[test]
    fn events_are_sent_in_binary_mode_by_default() {
        let mode = |flags: &[&str]| {
            let Command::Controller(arguments) =
                Arguments::try_parse_from([&["kulta", "controller"], flags].concat()).unwrap().command
            else {
                panic!("the controller")
            };
            CloudEventsMode::from(arguments.cdevents_mode)
        };

        assert_eq!(
            [mode(&[]), mode(&["--cdevents-mode", "structured"])],
            [CloudEventsMode::Binary, CloudEventsMode::Structured]
        );
    }

    #[test]
    fn zero_workers_are_rejected() {
        let parsed = Arguments::try_parse_from(["kulta", "controller", "--workers", "0"]);

        assert!(parsed.is_err_and(|error| error.to_string().contains("--workers")));
    }
}
