//! A real Prometheus that scrapes the pods' backend and Envoy every second.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{backend, controller::get, namespace::NODE_ADDRESS, process::Process, wait};

/// On [`NODE_ADDRESS`].
pub const PORT: u16 = 9090;
/// Envoy's statistics, on [`NODE_ADDRESS`].
const ENVOY_PORT: u16 = 8002;
const READY: Duration = Duration::from_secs(30);

/// Running until dropped.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
}

impl Prometheus {
    /// Starts it and waits until both targets have been scraped.
    pub async fn start(run: &Path) -> Result<Self> {
        let config = run.join("prometheus.yaml");
        fs::write(&config, configuration().to_string()).context("write Prometheus's configuration")?;
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", run.join("prometheus").display()),
            format!("--web.listen-address={NODE_ADDRESS}:{PORT}"),
            "--storage.tsdb.retention.time=1h".to_owned(),
            "--log.level=warn".to_owned(),
        ];
        let mut prometheus = Self { process: Process::start("prometheus", &arguments, run)? };
        let scraped = wait::poll("Prometheus to scrape the backend and Envoy", READY, || async {
            let up = query("sum(up)").await?;
            let up = up.pointer("/data/result/0/value/1").and_then(Value::as_str).unwrap_or_default().to_owned();
            ensure!(up == "2", "{up:?} targets are up");
            Ok(Some(()))
        })
        .await;
        prometheus.check()?;
        scraped.map(|()| prometheus)
    }

    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }
}

/// Where it listens.
pub fn address() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(NODE_ADDRESS), PORT)
}

/// The answer to an instant query.
pub async fn query(text: &str) -> Result<Value> {
    let escaped: String = text
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    let answer = get(address(), &format!("/api/v1/query?query={escaped}")).await?;
    serde_json::from_slice(&answer.body).context("read Prometheus's answer")
}

fn configuration() -> Value {
    let target = |port: u16| json!([{"targets": [format!("{NODE_ADDRESS}:{port}")]}]);
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1h"},
        "scrape_configs": [
            {"job_name": "backend", "honor_labels": true, "static_configs": target(backend::METRICS_PORT)},
            {
                "job_name": "envoy", "metrics_path": "/stats/prometheus", "static_configs": target(ENVOY_PORT),
                // Hundreds of scenarios have hundreds of series each; only these are used by analyses.
                "params": {"filter": ["upstream_rq_(time|[0-9]xx)$"]},
            },
        ],
    })
}
