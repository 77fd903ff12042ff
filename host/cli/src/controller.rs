//! `kulta controller`: assembles and runs the controller.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use kulta_controller::app::{Controller, Parts, Settings};
use kulta_controller::cdevents::Publisher;
use kulta_controller::clock::{Clock, SystemClock};
use kulta_controller::lease::Elector;
use kulta_controller::metrics::Metrics;
use kulta_controller::server;
use kulta_events::{Environment, GitKeys, Origin};
use kulta_fetch::{AwsEnvironment, Fetcher, Sink, SinkConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::arguments::{ControllerArguments, LogFormat};
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
/// Argo Rollouts' environment variable for the address of its Prometheus.
const ARGO_PROMETHEUS_ADDRESS: &str = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS";
/// Sized for two cores: decisions are short, and memory grows with each thread's arenas.
const THREADS: usize = 2;

pub fn run(arguments: ControllerArguments) -> Result<()> {
    log(&arguments)?;
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

fn log(arguments: &ControllerArguments) -> Result<()> {
    let filter = EnvFilter::try_new(&arguments.log_level)
        .with_context(|| format!("--log-level {:?} is no level or filter", arguments.log_level))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter);
    match arguments.log_format {
        LogFormat::Text => subscriber.with_ansi(false).init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}

async fn serve(arguments: ControllerArguments) -> Result<()> {
    let publisher = publisher(&arguments)?;
    let mut config = kube::Config::infer().await.context("find a cluster: set KUBECONFIG, or run in a pod")?;
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(USER_AGENT)));
    let client = kube::Client::try_from(config).context("make a client for the cluster")?;
    let metrics = Arc::new(Metrics::default());
    let plugins = plugins::start(arguments.plugin_compile_memory_mib, arguments.plugin_cache.as_deref())?;
    let components = plugins::components(arguments.plugin_cache.as_deref())?;
    let registries = plugins::registries(&arguments)?;
    let pod_namespace = std::fs::read_to_string(POD_NAMESPACE).ok().map(|namespace| namespace.trim().to_owned());
    let in_pod = pod_namespace.is_some();
    let namespace = arguments.own_namespace.clone().or(pod_namespace).unwrap_or_else(|| NAMESPACE_OUTSIDE.to_owned());
    let requests = Arc::new(fetcher(&arguments).context("set up the requests of analyses")?);
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone())?);

    let settings = Settings {
        namespaces: arguments.namespaces.clone(),
        instance_id: arguments.instance_id.clone(),
        workers: usize::from(arguments.workers),
        prometheus_address: arguments
            .prometheus_address
            .clone()
            .or_else(|| std::env::var(ARGO_PROMETHEUS_ADDRESS).ok())
            .filter(|address| !address.is_empty()),
        namespace: namespace.clone(),
        allow_plugin_tags: arguments.plugin_allow_tags,
        plugin_trusted_keys: plugins::trusted_keys(
            plugins::TRUSTED_KEYS_FLAG,
            arguments.plugin_trusted_keys.as_deref(),
        )?,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let parts = Parts {
        client: client.clone(),
        plugins,
        registries,
        components,
        requests,
        metrics,
        clock: Arc::clone(&clock),
        publisher,
    };
    let controller = Controller::new(parts, settings).await;
    let mut server = tokio::spawn(server::serve(controller.probes(), arguments.listen, stop.clone()));

    let identity = Identity::of_process(arguments.pod_name.as_deref(), arguments.pod_uid.as_deref());
    let elector = arguments.leader_elect.wanted(in_pod).then(|| {
        let namespace = arguments.lease_namespace.unwrap_or(namespace);
        Elector::new(client, &namespace, identity.name().to_owned(), clock)
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

fn fetcher(arguments: &ControllerArguments) -> Result<Fetcher> {
    let settings = kulta_fetch::Settings {
        prefixes: arguments.metrics_url_prefix.clone(),
        loopback: arguments.metrics_loopback,
        denied: arguments.metrics_deny.clone(),
        aws: AwsEnvironment::of_process(),
        ..kulta_fetch::Settings::default()
    };
    Ok(match (&arguments.metrics_record, &arguments.metrics_replay) {
        (_, Some(file)) => Fetcher::replaying(file).context("--metrics-replay")?,
        (Some(file), None) => Fetcher::recording(settings, file).context("--metrics-record")?,
        (None, None) => Fetcher::new(settings)?,
    })
}

fn publisher(arguments: &ControllerArguments) -> Result<Option<Publisher>> {
    let Some(url) = &arguments.cdevents_sink else { return Ok(None) };
    let sink = Sink::new(SinkConfig { url: url.clone(), timeout: SINK_TIMEOUT }).context("--cdevents-sink")?;
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
