//! Flags of Argo Rollouts' controller (1.9) that have no meaning here. They are accepted, so that its Deployment starts with
//! KULTA's image, and reported once in the log. Flags that would change what is served are refused instead.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::values::switch;

/// A flag of Argo's without a meaning here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgoFlag {
    pub name: &'static str,
    pub value: Value,
    pub meaning: Meaning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Any,
    Switch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Accepted without an effect; the text says why.
    None(&'static str),
    /// Refused; the text says what to do instead.
    Refused(&'static str),
    /// As `Refused`, but accepted if it is empty: its default in Argo Rollouts.
    RefusedUnlessEmpty(&'static str),
}

const NO_LIMIT: &str = "the client has no rate limit of its own; the API server's priority and fairness limits it";
const ONE_SETTING: &str = "--workers sets how many objects are reconciled in parallel";
const NO_RECONCILER: &str = "there is no such reconciler here";
const NO_ROUTER: &str = "the router is not served; traffic is shifted by Gateway API routes";
const KUBECONFIG: &str = "write it into a kubeconfig file and name that file with --kubeconfig";

const fn none(name: &'static str, why: &'static str) -> ArgoFlag {
    ArgoFlag { name, value: Value::Any, meaning: Meaning::None(why) }
}

const fn none_switch(name: &'static str, why: &'static str) -> ArgoFlag {
    ArgoFlag { name, value: Value::Switch, meaning: Meaning::None(why) }
}

const fn refused(name: &'static str, instead: &'static str) -> ArgoFlag {
    ArgoFlag { name, value: Value::Any, meaning: Meaning::Refused(instead) }
}

/// The flags of `cmd/rollouts-controller` in Argo Rollouts 1.9.2 that are neither names nor aliases of KULTA's own flags.
pub const ARGO_FLAGS: &[ArgoFlag] = &[
    none("rollout-resync", "objects are reconciled when they change and when a rollout waits for a time"),
    none("kloglevel", "there is no klog here; --log-level sets the level of all log lines"),
    none("qps", NO_LIMIT),
    none("burst", NO_LIMIT),
    none("experiment-threads", "Experiments are stored and not run"),
    none("analysis-threads", ONE_SETTING),
    none("service-threads", NO_RECONCILER),
    none("ingress-threads", NO_RECONCILER),
    none("ephemeral-metadata-threads", ONE_SETTING),
    none(
        "ephemeral-metadata-update-pod-retries",
        "a pod that could not be updated is updated in the next reconciliation",
    ),
    none("aws-target-group-binding-api-version", NO_ROUTER),
    none("alb-tag-key-resource-id", NO_ROUTER),
    none("alb-ingress-classes", NO_ROUTER),
    none_switch("alb-verify-weight", NO_ROUTER),
    none_switch("aws-verify-target-group", NO_ROUTER),
    none("nginx-ingress-classes", NO_ROUTER),
    none("istio-api-version", NO_ROUTER),
    none("ambassador-api-version", NO_ROUTER),
    none("traffic-split-api-version", NO_ROUTER),
    none("traefik-api-group", NO_ROUTER),
    none("traefik-api-version", NO_ROUTER),
    none("ingress-api-version", NO_ROUTER),
    none("appmesh-crd-version", NO_ROUTER),
    none_switch("self-service-notification-enabled", "there are no notifications; --cdevents-sink sends events"),
    none("enable-pprof-address", "there is no profiler for Go here"),
    none_switch("disable-compression", "answers of the API server are never compressed"),
    none("request-timeout", "requests to the API server have timeouts of their own"),
    ArgoFlag {
        name: "controllers",
        value: Value::Any,
        meaning: Meaning::RefusedUnlessEmpty("KULTA cannot serve AnalysisRuns alone; leave the flag out"),
    },
    refused("server", KUBECONFIG),
    refused("certificate-authority", KUBECONFIG),
    ArgoFlag { value: Value::Switch, ..refused("insecure-skip-tls-verify", KUBECONFIG) },
    refused("tls-server-name", KUBECONFIG),
    refused("proxy-url", KUBECONFIG),
    refused("client-certificate", KUBECONFIG),
    refused("client-key", KUBECONFIG),
    refused("token", KUBECONFIG),
    refused("username", KUBECONFIG),
    refused("password", KUBECONFIG),
    refused("as", KUBECONFIG),
    refused("as-uid", KUBECONFIG),
    refused("as-group", KUBECONFIG),
];

/// Those of the flags that are set, in the table's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArgoArguments {
    set: Vec<ArgoFlag>,
}

impl ArgoArguments {
    /// A line for the log for each flag without a meaning.
    pub fn notices(&self) -> impl Iterator<Item = String> {
        self.set.iter().filter_map(|flag| match flag.meaning {
            Meaning::None(why) => Some(format!("--{} of Argo Rollouts has no effect here: {why}", flag.name)),
            Meaning::Refused(_) | Meaning::RefusedUnlessEmpty(_) => None,
        })
    }

    /// # Errors
    /// If a flag is set that cannot be ignored safely: what to do instead.
    pub fn check(&self) -> Result<(), String> {
        self.set.iter().try_for_each(|flag| match flag.meaning {
            Meaning::None(_) => Ok(()),
            Meaning::Refused(instead) | Meaning::RefusedUnlessEmpty(instead) => {
                Err(format!("--{} of Argo Rollouts is not supported: {instead}", flag.name))
            }
        })
    }
}

impl Args for ArgoArguments {
    fn augment_args(command: Command) -> Command {
        command.args(ARGO_FLAGS.iter().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ArgoArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let is_set = |flag: &&ArgoFlag| match flag.meaning {
            Meaning::None(_) | Meaning::Refused(_) => matches.value_source(flag.name).is_some(),
            Meaning::RefusedUnlessEmpty(_) => {
                matches.get_many::<String>(flag.name).into_iter().flatten().any(|value| !value.is_empty())
            }
        };
        Ok(Self { set: ARGO_FLAGS.iter().filter(is_set).copied().collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn argument(flag: &ArgoFlag) -> Arg {
    let argument = Arg::new(flag.name).long(flag.name).hide(true).action(ArgAction::Append);
    match flag.value {
        Value::Any => argument,
        Value::Switch => argument.num_args(0..=1).default_missing_value("true").value_parser(switch),
    }
}
