//! What analyses and plugins may request.

use std::path::PathBuf;

use clap::Args;
use kulta_fetch::{IpNet, UrlPrefix};

use super::values::{non_empty, switch};

#[derive(Args, Debug)]
#[command(next_help_heading = "Analyses")]
pub struct AnalysisArguments {
    /// Prometheus for metrics that name no address; can also be set by ARGO_ROLLOUTS_PROMETHEUS_ADDRESS
    #[arg(long, env = "KULTA_PROMETHEUS_ADDRESS", value_name = "URL")]
    prometheus_address: Option<String>,
    /// URL prefixes that analyses may request, comma separated; if unset, any http or https URL
    #[arg(long, env = "KULTA_ANALYSIS_URL_PREFIX", value_delimiter = ',', value_name = "URLS")]
    pub analysis_url_prefix: Vec<UrlPrefix>,
    /// Networks that analyses may not reach, comma separated, such as 10.1.0.0/16; link-local and metadata addresses
    /// are always denied
    #[arg(long, env = "KULTA_ANALYSIS_DENY", value_delimiter = ',', value_name = "NETWORKS")]
    pub analysis_deny: Vec<IpNet>,
    /// Let analyses reach loopback addresses: for a sidecar, or for a controller outside the cluster
    #[arg(long, env = "KULTA_ANALYSIS_LOOPBACK", value_name = "BOOL", num_args = 0..=1, default_value_t = false,
          default_missing_value = "true", value_parser = switch)]
    pub analysis_loopback: bool,
    /// File to append each request of analyses and its answer to, with secrets redacted
    #[arg(long, env = "KULTA_ANALYSIS_RECORD", value_name = "FILE")]
    pub analysis_record: Option<PathBuf>,
    /// File of --analysis-record to answer the requests of analyses from; no requests are sent
    #[arg(long, env = "KULTA_ANALYSIS_REPLAY", value_name = "FILE")]
    pub analysis_replay: Option<PathBuf>,
}

impl AnalysisArguments {
    pub fn prometheus_address(&self) -> Option<String> {
        non_empty(self.prometheus_address.as_deref())
    }
}
