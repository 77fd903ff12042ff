//! The pods of the controllers' Deployments. kwok simulates them, so the programs of their images run here: started, stopped and
//! restarted as a kubelet would, with the Deployment's arguments and the identity of its ServiceAccount.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result};
use kube::{Api, Client, api::DynamicObject};
use kulta_tests::{
    api, controller::binary, environment::Environment, kinds, kubeconfig, process::Process, run_folder, wait,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::{process::Command, task::JoinHandle};

/// Namespace and name of the Deployments.
const DEPLOYMENTS: [(&str, &str); 3] =
    [("argo-rollouts", "argo-rollouts"), ("kulta-system", "kulta"), ("argo-rollouts", "kulta")];
const ARGO: &str = "argo-rollouts";
/// Addresses that nothing else in the cluster's network uses.
const KULTA_LISTEN: &str = "127.0.0.1:18090";
const ARGO_PORTS: [&str; 2] = ["--healthzPort=18080", "--metricsPort=18081"];
const INTERVAL: Duration = Duration::from_millis(200);
const STOPPED: Duration = Duration::from_secs(40);

/// What a Deployment wants to run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    namespace: String,
    account: String,
    image: String,
    arguments: Vec<String>,
}

impl Wanted {
    /// `None` if it wants no pod.
    fn of(namespace: &str, deployment: &DynamicObject) -> Option<Self> {
        let replicas = deployment.data.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
        let container = deployment.data.pointer("/spec/template/spec/containers/0").filter(|_| replicas > 0)?;
        let arguments = container.get("args").and_then(Value::as_array).into_iter().flatten();
        Some(Self {
            namespace: namespace.to_owned(),
            account: api::text(deployment, "/spec/template/spec/serviceAccountName").to_owned(),
            image: container.get("image").and_then(Value::as_str).unwrap_or_default().to_owned(),
            arguments: arguments.filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }

    fn command(&self, kubeconfig: &PathBuf, number: usize, run: &std::path::Path) -> Command {
        let mut command = if self.image.contains(ARGO) {
            let mut command = Command::new(run_folder::tools().join("rollouts-controller"));
            command.args(&self.arguments).args(ARGO_PORTS).env("POD_NAMESPACE", &self.namespace);
            command
        } else {
            let mut command = Command::new(binary());
            let cache = run.join("migration-cache").display().to_string();
            // The image's command has this argument, which a Deployment's arguments replace.
            let arguments =
                if self.arguments.is_empty() { vec!["controller".to_owned()] } else { self.arguments.clone() };
            command.args(arguments.iter().map(|argument| match argument.split_once('=') {
                Some(("--listen", _)) => format!("--listen={KULTA_LISTEN}"),
                Some(("--plugin-cache", _)) => format!("--plugin-cache={cache}"),
                _ => argument.clone(),
            }));
            // As in a pod. Flags win over these.
            command
                .env("KULTA_LISTEN", KULTA_LISTEN)
                .env("KULTA_LEADER_ELECT", "true")
                .env("KULTA_ANALYSIS_LOOPBACK", "true")
                .env("KULTA_OWN_NAMESPACE", &self.namespace)
                .env("KULTA_POD_NAME", "kulta")
                .env("KULTA_POD_UID", number.to_string());
            command
        };
        for variable in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env_remove(variable);
        }
        command.env("KUBECONFIG", kubeconfig);
        command
    }
}

/// A program that runs for a Deployment.
struct Running {
    wanted: Wanted,
    process: Process,
}

/// Runs them until it is dropped.
pub struct Pods {
    task: JoinHandle<()>,
    shown: Arc<Mutex<BTreeMap<String, Shown>>>,
}

/// What runs for a Deployment, for a scenario's questions.
#[derive(Debug, Clone)]
struct Shown {
    image: String,
    log: PathBuf,
}

impl Pods {
    pub fn start(client: Client, environment: &Environment) -> Self {
        let shown = Arc::new(Mutex::new(BTreeMap::new()));
        let kubelet = Kubelet {
            client,
            environment: environment.clone(),
            running: BTreeMap::new(),
            number: 0,
            shown: Arc::clone(&shown),
        };
        Self { task: tokio::spawn(kubelet.run()), shown }
    }

    /// Waits until the Deployment's program logs this text.
    pub async fn until_logged(&self, deployment: &str, text: &str) -> Result<()> {
        wait::poll(&format!("{text:?} in the log of {deployment}"), STOPPED, || async {
            let log = self.log(deployment)?;
            anyhow::ensure!(log.contains(text), "the log is\n{log}");
            Ok(Some(()))
        })
        .await
    }

    /// The log of the Deployment's program so far.
    pub fn log(&self, deployment: &str) -> Result<String> {
        let log = self.shown(deployment)?.log;
        std::fs::read_to_string(&log).with_context(|| format!("read {}", log.display()))
    }

    /// The image whose program runs.
    pub fn image(&self, deployment: &str) -> Result<String> {
        Ok(self.shown(deployment)?.image)
    }

    fn shown(&self, deployment: &str) -> Result<Shown> {
        let shown = self.shown.lock().map_err(|_| anyhow::anyhow!("the kubelet panicked"))?;
        shown.get(deployment).cloned().with_context(|| format!("nothing runs for {deployment}"))
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Kubelet {
    client: Client,
    environment: Environment,
    running: BTreeMap<String, Running>,
    number: usize,
    shown: Arc<Mutex<BTreeMap<String, Shown>>>,
}

impl Kubelet {
    async fn run(mut self) {
        loop {
            for (namespace, name) in DEPLOYMENTS {
                if let Err(error) = self.sync(namespace, name).await {
                    println!("{namespace}/{name}: {error:#}");
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn sync(&mut self, namespace: &str, name: &str) -> Result<()> {
        let deployments: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &kinds::deployment());
        let found = deployments.get_opt(name).await.context("get the Deployment")?;
        let wanted = found.as_ref().and_then(|deployment| Wanted::of(namespace, deployment));
        let key = format!("{namespace}/{name}");
        if let Some(mut running) = self.running.remove(&key) {
            let ended = running.process.check().err();
            if ended.is_none() && wanted.as_ref() == Some(&running.wanted) {
                self.running.insert(key, running);
                return Ok(());
            }
            match ended {
                Some(ended) => println!("{ended:#}"),
                None => stop(running.process).await?,
            }
            self.show(name, None);
        }
        match wanted {
            Some(wanted) => self.start(name, wanted).await,
            None => Ok(()),
        }
    }

    async fn start(&mut self, name: &str, wanted: Wanted) -> Result<()> {
        let run = &self.environment.run;
        let kubeconfig =
            kubeconfig::for_service_account(&self.environment.kubeconfig, &wanted.namespace, &wanted.account, run)
                .await?;
        self.number += 1;
        // Several scenarios of one run, one after the other.
        let moment = jiff::Timestamp::now().as_millisecond();
        let log = run.join("logs").join(format!("{name}-{moment}.log"));
        let command = wanted.command(&kubeconfig, self.number, run);
        let process = Process::spawn(name, command, log.clone())?;
        self.show(name, Some(Shown { image: wanted.image.clone(), log }));
        self.running.insert(format!("{}/{name}", wanted.namespace), Running { wanted, process });
        Ok(())
    }

    fn show(&self, name: &str, shown: Option<Shown>) {
        if let Ok(mut all) = self.shown.lock() {
            match shown {
                Some(shown) => all.insert(name.to_owned(), shown),
                None => all.remove(name),
            };
        }
    }
}

/// SIGTERM, and SIGKILL to one that does not end.
async fn stop(mut process: Process) -> Result<()> {
    if let Some(id) = process.id() {
        kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGTERM).context("ask the program to stop")?;
    }
    match tokio::time::timeout(STOPPED, process.wait()).await {
        Ok(ended) => ended.map(drop),
        Err(_) => process.kill(),
    }
}
