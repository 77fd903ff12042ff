//! `kulta controller`: assembles and runs the controller.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::try_join_all;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kulta_controller::app::{Controller, Parts, ProviderEnvironment, Settings};
use kulta_controller::cdevents::Publisher;
use kulta_controller::clock::{Clock, SystemClock};
use kulta_controller::lease::Elector;
use kulta_controller::metrics::Metrics;
use kulta_controller::plugins::ComponentStore;
use kulta_controller::server::{self, Probes, ServeError};
use kulta_events::{Environment, GitKeys, Origin};
use kulta_fetch::{AwsEnvironment, Fetcher, Proxies, Sink, SinkConfig};
use kulta_oci::TrustedKeys;
use kulta_wasm::Plugins;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::arguments::{
    AnalysisArguments, ClusterArguments, ControllerArguments, EventArguments, LogFormat, ProcessArguments,
};
use crate::exit::{self, Unusable};
use crate::identity::Identity;
use crate::plugins;

/// Per event. A sink that takes longer counts as unavailable.
const SINK_TIMEOUT: Duration = Duration::from_secs(10);
/// File that contains the namespace of the pod.
const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// The controller's namespace outside a pod.
const NAMESPACE_OUTSIDE: &str = "default";
/// Identifies the controller in audit logs and to API priority and fairness.
const USER_AGENT: &str = concat!("kulta/", env!("CARGO_PKG_VERSION"));
/// Sized for two cores: decisions are short, and memory grows with each thread's arenas.
const THREADS: usize = 2;

/// Runs the controller; a failure is one line of its log. `notices` are about its flags.
///
/// # Errors
/// If there is no log to write to.
pub fn run(arguments: ControllerArguments, notices: &[String]) -> Result<ExitCode> {
    log(&arguments.process)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "kulta starts");
    for notice in notices {
        tracing::warn!("{notice}");
    }
    Ok(match work(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", format!("{error:#}").replace('\n', " "));
            exit::code(&error)
        }
    })
}

fn work(arguments: ControllerArguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .context("start the runtime")?;
    let ended = runtime.block_on(serve(arguments));
    // Current work is finished; a plugin that is still being compiled must not delay the exit.
    runtime.shutdown_background();
    ended
}

fn log(arguments: &ProcessArguments) -> Result<()> {
    let filter = EnvFilter::try_new(&arguments.log_level)
        .with_context(|| format!("--log-level {:?} is no level or filter", arguments.log_level))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter);
    match arguments.log_format {
        LogFormat::Text => subscriber.with_ansi(false).init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}

/// What the flags ask for, read and checked before anything starts.
struct Prepared {
    publisher: Option<Publisher>,
    config: kube::Config,
    plugins: Arc<Plugins>,
    components: Option<ComponentStore>,
    registries: kulta_oci::Client,
    trusted_keys: Option<TrustedKeys>,
    requests: Fetcher,
}

async fn prepare(arguments: &ControllerArguments) -> Result<Prepared> {
    let proxies = arguments.proxies.proxies()?;
    let settings = &arguments.plugins;
    let cache = settings.plugin_cache.as_deref();
    let mut config = cluster(&arguments.cluster).await?;
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(USER_AGENT)));
    Ok(Prepared {
        publisher: publisher(&arguments.events, proxies.clone())?,
        config,
        plugins: plugins::start(settings.plugin_compile_memory.mebibytes(), cache)?,
        components: plugins::components(cache)?,
        registries: plugins::registries(settings, &proxies)?,
        trusted_keys: plugins::trusted_keys(plugins::TRUSTED_KEYS_FLAG, settings.plugin_trusted_keys.as_deref())?,
        requests: fetcher(&arguments.analyses, proxies).context("set up the requests of analyses")?,
    })
}

async fn serve(arguments: ControllerArguments) -> Result<()> {
    let Prepared { publisher, config, plugins, components, registries, trusted_keys, requests } =
        prepare(&arguments).await.map_err(Unusable::mark)?;
    let client = kube::Client::try_from(config).context("make a client for the cluster")?;
    let pod_namespace = std::fs::read_to_string(POD_NAMESPACE).ok().map(|namespace| namespace.trim().to_owned());
    let in_pod = pod_namespace.is_some();
    let election = &arguments.election;
    let namespace = election.own_namespace.clone().or(pod_namespace).unwrap_or_else(|| NAMESPACE_OUTSIDE.to_owned());
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone())?);

    let settings = Settings {
        namespaces: arguments.scope.served(&namespace),
        instance_id: arguments.scope.instance_id(),
        workers: usize::from(arguments.process.workers),
        prometheus_address: arguments.analyses.prometheus_address(),
        provider_environment: ProviderEnvironment::of_process(),
        namespace: namespace.clone(),
        allow_plugin_tags: arguments.plugins.plugin_allow_tags,
        plugin_trusted_keys: trusted_keys,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let parts = Parts {
        client: client.clone(),
        plugins,
        registries,
        components,
        requests: Arc::new(requests),
        metrics: Arc::new(Metrics::default()),
        clock: Arc::clone(&clock),
        publisher,
    };
    let controller = Controller::new(parts, settings).await;
    let addresses = arguments.process.addresses(in_pod);
    let mut server = tokio::spawn(serve_pages(controller.probes(), addresses, stop.clone()));

    let identity = Identity::of_process(election.pod_name.as_deref(), election.pod_uid.as_deref());
    let elector = election.leader_elect.wanted(in_pod).then(|| {
        let namespace = election.lease_namespace.as_ref().unwrap_or(&namespace);
        Elector::new(client, namespace, identity.name().to_owned(), clock).with_times(election.times())
    });
    let mut work = std::pin::pin!(controller.lead(elector, stop));
    tokio::select! {
        ended = &mut work => ended?,
        ended = &mut server => {
            ended.context("the server for probes")??;
            // On a requested stop it finishes its current work and releases the lease.
            work.await?;
        }
    }
    tracing::info!("stopped");
    Ok(())
}

/// The pages of probes and metrics, at each address.
async fn serve_pages(probes: Probes, addresses: Vec<SocketAddr>, stop: CancellationToken) -> Result<(), ServeError> {
    let servers = addresses.into_iter().map(|address| server::serve(probes.clone(), address, stop.clone()));
    try_join_all(servers).await.map(drop)
}

async fn cluster(arguments: &ClusterArguments) -> Result<kube::Config> {
    let ClusterArguments { kubeconfig, context, cluster, user } = arguments;
    if kubeconfig.is_none() && context.is_none() && cluster.is_none() && user.is_none() {
        return kube::Config::infer().await.context("find a cluster: set KUBECONFIG, or run in a pod");
    }
    let read = match kubeconfig {
        Some(file) => Kubeconfig::read_from(file).with_context(|| format!("--kubeconfig {}", file.display())),
        None => Kubeconfig::read().context("read the kubeconfig"),
    };
    let options = KubeConfigOptions { context: context.clone(), cluster: cluster.clone(), user: user.clone() };
    kube::Config::from_custom_kubeconfig(read?, &options).await.context("use the kubeconfig")
}

fn fetcher(arguments: &AnalysisArguments, proxies: Proxies) -> Result<Fetcher> {
    let settings = kulta_fetch::Settings {
        prefixes: arguments.analysis_url_prefix.clone(),
        loopback: arguments.analysis_loopback,
        denied: arguments.analysis_deny.clone(),
        aws: AwsEnvironment::of_process(),
        proxies,
        ..kulta_fetch::Settings::default()
    };
    Ok(match (&arguments.analysis_record, &arguments.analysis_replay) {
        (_, Some(file)) => Fetcher::replaying(file).context("--analysis-replay")?,
        (Some(file), None) => Fetcher::recording(settings, file).context("--analysis-record")?,
        (None, None) => Fetcher::new(settings)?,
    })
}

fn publisher(arguments: &EventArguments, proxies: Proxies) -> Result<Option<Publisher>> {
    let Some(url) = arguments.sink() else { return Ok(None) };
    let sink = Sink::new(SinkConfig { url, timeout: SINK_TIMEOUT, proxies }).context("--cdevents-sink")?;
    let environment = Environment { id: arguments.environment.clone(), source: None };
    let git = GitKeys { commit: arguments.git_commit_annotations.clone(), ..GitKeys::default() };
    let origin = Origin::new(&arguments.event_source, environment, git).context("--event-source or --environment")?;
    Ok(Some(Publisher { sink: Box::new(sink), origin, mode: arguments.cdevents_mode.into() }))
}

fn stop_on_signal(stop: CancellationToken) -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stop.cancel();
    })
}
