//! Flags, each with its environment twin.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kulta_fetch::{CloudEventsMode, IpNet, UrlPrefix};

use crate::demo::Speed;
use crate::plugin::PluginArguments;

/// Progressive delivery for Kubernetes: serves Argo Rollouts' objects, moves traffic by Gateway API weights, and lets sandboxed
/// Wasm plugins decide.
#[derive(Parser)]
#[command(name = "kulta", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the controller against the cluster that KUBECONFIG or the pod's service account names
    Controller(Box<ControllerArguments>),
    /// Print the CustomResourceDefinitions as YAML
    Crds,
    /// Show a good and a bad rollout on a cluster in memory; needs nothing and ends within a minute
    Demo(DemoArguments),
    /// Write plugins, try them, and ship them
    Plugin(PluginArguments),
    /// The controller's own compiler: a component on standard input, its code on standard output
    #[command(hide = true, name = COMPILE_COMMAND)]
    Compile(CompileArguments),
}

/// How the controller calls itself to compile a plugin.
pub const COMPILE_COMMAND: &str = "compile-component";
pub const COMPILE_MEMORY_FLAG: &str = "memory-mib";

#[derive(Args)]
pub struct CompileArguments {
    /// Address space that it may use, in MiB
    #[arg(long = COMPILE_MEMORY_FLAG, value_name = "MIB")]
    pub memory_mib: u32,
}

/// Python's runtime, the largest known component, needs less.
pub const COMPILE_MEMORY_MIB: u32 = 1_024;

#[derive(Args)]
pub struct ControllerArguments {
    /// Serve only these namespaces, comma separated; all when absent
    #[arg(long, env = "KULTA_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Serve only Rollouts labelled argo-rollouts.argoproj.io/controller-instance-id=ID; without it, only those that lack the label
    #[arg(long, env = "KULTA_INSTANCE_ID", value_name = "ID")]
    pub instance_id: Option<String>,
    /// Send each transition as a CDEvent to this URL (HTTP POST of a CloudEvent); none are sent when absent
    #[arg(long, env = "KULTA_CDEVENTS_SINK", value_name = "URL")]
    pub cdevents_sink: Option<String>,
    /// Where a CloudEvent's attributes are sent
    #[arg(long, env = "KULTA_CDEVENTS_MODE", value_enum, default_value_t = CdEventsMode::Binary)]
    pub cdevents_mode: CdEventsMode,
    /// Environment that events name, such as production
    #[arg(long, env = "KULTA_ENVIRONMENT", default_value = "default", value_name = "NAME")]
    pub environment: String,
    /// Source that events name: a URI or a path
    #[arg(long, env = "KULTA_EVENT_SOURCE", default_value = "/kulta", value_name = "URI")]
    pub event_source: String,
    /// Annotations that hold the git commit, comma separated; the first that is there counts
    #[arg(
        long,
        env = "KULTA_GIT_COMMIT_ANNOTATIONS",
        value_delimiter = ',',
        default_value = "kulta.io/git-commit,org.opencontainers.image.revision",
        value_name = "KEYS"
    )]
    pub git_commit_annotations: Vec<String>,
    /// Prometheus that metrics ask when they name no address; ARGO_ROLLOUTS_PROMETHEUS_ADDRESS is read as well
    #[arg(long, env = "KULTA_PROMETHEUS_ADDRESS", value_name = "URL")]
    pub prometheus_address: Option<String>,
    /// URLs that analyses may ask begin with one of these, comma separated; any http or https URL when absent
    #[arg(long, env = "KULTA_METRICS_URL_PREFIX", value_delimiter = ',', value_name = "URLS")]
    pub metrics_url_prefix: Vec<UrlPrefix>,
    /// Networks that analyses may not ask, comma separated, such as 10.1.0.0/16; link-local and metadata addresses never are
    #[arg(long, env = "KULTA_METRICS_DENY", value_delimiter = ',', value_name = "NETWORKS")]
    pub metrics_deny: Vec<IpNet>,
    /// Let analyses ask this host itself: for a sidecar, or a controller outside the cluster
    #[arg(long, env = "KULTA_METRICS_LOOPBACK")]
    pub metrics_loopback: bool,
    /// Append each request of analyses and its answer to this file, secrets masked
    #[arg(long, env = "KULTA_METRICS_RECORD", value_name = "FILE", conflicts_with = "metrics_replay")]
    pub metrics_record: Option<PathBuf>,
    /// Answer the requests of analyses from such a file, and ask nobody
    #[arg(long, env = "KULTA_METRICS_REPLAY", value_name = "FILE")]
    pub metrics_replay: Option<PathBuf>,
    /// Folder for plugins and their compiled code, so that the next start needs no registry and compiles nothing; made if it is missing,
    /// and the controller's alone. Nothing is kept when absent
    #[arg(long, env = "KULTA_PLUGIN_CACHE", value_name = "FOLDER")]
    pub plugin_cache: Option<PathBuf>,
    /// Memory that compiling one plugin may take, in MiB; a small process of its own takes it, for as long as it compiles
    #[arg(long, env = "KULTA_PLUGIN_COMPILE_MEMORY_MIB", value_name = "MIB", default_value_t = COMPILE_MEMORY_MIB)]
    pub plugin_compile_memory_mib: u32,
    /// Let Plugins name images by tag alone; a tag is resolved once and recorded in the Plugin's status
    #[arg(long, env = "KULTA_PLUGIN_ALLOW_TAGS")]
    pub plugin_allow_tags: bool,
    /// PEM file with public keys, such as cosign.pub: only images that one of them has signed are served as Plugins. Any is when absent,
    /// by its digest
    #[arg(long, env = "KULTA_PLUGIN_TRUSTED_KEYS", value_name = "FILE")]
    pub plugin_trusted_keys: Option<PathBuf>,
    /// Registries that are asked by http instead of https, comma separated, such as localhost:5000
    #[arg(long, env = "KULTA_PLUGIN_HTTP_REGISTRIES", value_delimiter = ',', value_name = "REGISTRIES")]
    pub plugin_http_registries: Vec<String>,
    /// PEM file with certificates that registries may be trusted by, besides the platform's
    #[arg(long, env = "KULTA_PLUGIN_REGISTRY_CA", value_name = "FILE")]
    pub plugin_registry_ca: Option<PathBuf>,
    /// Rollouts looked at side by side
    #[arg(long, env = "KULTA_WORKERS", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,
    /// Address for /healthz, /readyz and /metrics
    #[arg(long, env = "KULTA_LISTEN", default_value = "0.0.0.0:8090", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// How log lines are written
    #[arg(long, env = "KULTA_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Least level that is logged, such as info or debug, or a filter such as kulta_controller=debug
    #[arg(long, env = "KULTA_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    pub log_level: String,
    /// Let only one controller work at a time, by a Lease; auto: in a pod, not outside one
    #[arg(long, env = "KULTA_LEADER_ELECT", default_value = "auto")]
    pub leader_elect: LeaderElect,
    /// Name of the pod that the controller runs in. With --pod-uid it is the holder's identity in the Lease, so that a container that is
    /// restarted in its pod leads again at once. If unset, the identity is the host's name and a random part
    #[arg(long, env = "KULTA_POD_NAME", value_name = "NAME", requires = "pod_uid")]
    pub pod_name: Option<String>,
    /// UID of the pod that the controller runs in
    #[arg(long, env = "KULTA_POD_UID", value_name = "UID", requires = "pod_name")]
    pub pod_uid: Option<String>,
    /// The controller's own namespace, where the Secrets are that Plugins name; the pod's own when absent, and default outside one
    #[arg(long, env = "KULTA_OWN_NAMESPACE", value_name = "NAMESPACE")]
    pub own_namespace: Option<String>,
    /// Namespace of the Lease; the controller's own when absent
    #[arg(long, env = "KULTA_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,
}

#[derive(Args)]
pub struct DemoArguments {
    /// How many times as fast the story runs, from 1 to 20
    #[arg(long, default_value = "1", value_name = "NUMBER")]
    pub speed: Speed,
    /// Leave the cluster and the controller up after the story, until Ctrl-C, and print how kubectl gets there
    #[arg(long)]
    pub keep: bool,
    /// Lines instead of a picture, as when the output is no terminal
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
    /// In HTTP headers; the body is the CDEvent
    Binary,
    /// In the body, which has the CDEvent as its data
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
    /// A pod has a service account mounted.
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
    fn the_flags_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_controller_outside_a_pod_elects_nobody_unless_told() {
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
    fn events_are_sent_in_binary_mode_unless_told() {
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
    fn zero_workers_are_refused() {
        let parsed = Arguments::try_parse_from(["kulta", "controller", "--workers", "0"]);

        assert!(parsed.is_err_and(|error| error.to_string().contains("--workers")));
    }
}
