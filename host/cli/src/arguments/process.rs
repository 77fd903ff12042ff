//! The process itself: parallel work, its ports and its log.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

use super::values::log_level;

/// Argo Rollouts' port for /healthz, which the liveness probe of its Deployment asks.
const ARGO_HEALTHZ_PORT: u16 = 8080;

#[derive(Args, Debug)]
#[command(next_help_heading = "Process")]
pub struct ProcessArguments {
    /// Number of Rollouts that are reconciled in parallel, and of AnalysisRuns
    #[arg(long, env = "KULTA_WORKERS", alias = "rollout-threads", default_value_t = 8, value_name = "NUMBER",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: u16,
    /// Address for /healthz, /readyz and /metrics
    #[arg(long, env = "KULTA_LISTEN", default_value = "0.0.0.0:8090", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Port of --listen, in place of the one there
    #[arg(long, env = "KULTA_METRICS_PORT", aliases = ["metricsPort", "metricsport"], value_name = "PORT")]
    metrics_port: Option<u16>,
    /// Second port for the same pages, where the liveness probe of Argo Rollouts' Deployment asks for /healthz;
    /// 0: none. If unset, 8080 in a pod, and none outside one
    #[arg(long, env = "KULTA_HEALTHZ_PORT", alias = "healthzPort", value_name = "PORT")]
    healthz_port: Option<u16>,
    /// Format of log lines
    #[arg(
        long,
        env = "KULTA_LOG_FORMAT",
        alias = "logformat",
        default_value = "text",
        ignore_case = true,
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,
    /// Minimum log level, such as info or debug, or a filter such as kulta_controller=debug
    #[arg(long, env = "KULTA_LOG_LEVEL", alias = "loglevel", default_value = "info", value_name = "LEVEL", value_parser = log_level)]
    pub log_level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

impl ProcessArguments {
    /// The addresses to serve at, without duplicates.
    pub fn addresses(&self, in_pod: bool) -> Vec<SocketAddr> {
        let port = self.metrics_port.unwrap_or(self.listen.port());
        let first = SocketAddr::new(self.listen.ip(), port);
        let second = self.healthz_port.unwrap_or(if in_pod { ARGO_HEALTHZ_PORT } else { 0 });
        let second = (second != 0 && second != port).then(|| SocketAddr::new(self.listen.ip(), second));
        std::iter::once(first).chain(second).collect()
    }
}
