//! The program behind every pod: kwok's pods run nothing, but all their addresses are local, so one listener answers for them.
//!
//! It knows by a connection's local address which pod is asked, says the pod's version in `x-version`, and resets connections to
//! addresses that are no ready or terminating pod's, as a node does when nobody is there.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    pin::pin,
    sync::Arc,
};

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt, runtime::watcher};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{RwLock, watch},
};

use crate::http;

/// What Services of tests name as `targetPort`.
pub const PORT: u16 = 9898;

/// A pod that answers.
#[derive(Debug)]
struct Serving {
    uid: String,
    name: String,
    version: String,
    /// Dropped with the pod: every connection to it ends then.
    life: watch::Sender<()>,
}

type Pods = Arc<RwLock<HashMap<IpAddr, Serving>>>;

/// Answers for all pods of the cluster until the future is dropped.
pub async fn run(client: Client) -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await.context("listen for the pods")?;
    let pods = Pods::default();
    let mut listed = HashSet::new();
    let mut events = pin!(watcher::watcher(Api::<Pod>::all(client), watcher::Config::default()));
    loop {
        tokio::select! {
            event = events.next() => match event.context("the watch of pods ended")? {
                Ok(event) => follow(&pods, &mut listed, event).await,
                Err(error) => eprintln!("backend: watch pods: {error}"),
            },
            accepted = listener.accept() => {
                // Out of file descriptors or a peer that is gone already: the next one may do.
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(serve(stream, pods.clone()));
                }
            }
        }
    }
}

/// `listed` gathers the pods of a fresh list: those not in it went while nobody watched.
async fn follow(pods: &Pods, listed: &mut HashSet<String>, event: watcher::Event<Pod>) {
    let mut pods = pods.write().await;
    match event {
        watcher::Event::Apply(pod) => take(&mut pods, &pod),
        watcher::Event::Delete(pod) => remove(&mut pods, &pod),
        watcher::Event::Init => listed.clear(),
        watcher::Event::InitApply(pod) => {
            take(&mut pods, &pod);
            listed.extend(pod.uid());
        }
        watcher::Event::InitDone => pods.retain(|_, serving| listed.contains(&serving.uid)),
    }
}

fn take(pods: &mut HashMap<IpAddr, Serving>, pod: &Pod) {
    let Some(address) = address(pod) else { return };
    let uid = pod.uid().unwrap_or_default();
    let known = pods.get(&address).is_some_and(|serving| serving.uid == uid);
    if serves(pod, known) {
        if !known {
            pods.insert(
                address,
                Serving { uid, name: pod.name_any(), version: version(pod), life: watch::Sender::new(()) },
            );
        }
    } else if known {
        pods.remove(&address);
    }
}

fn remove(pods: &mut HashMap<IpAddr, Serving>, pod: &Pod) {
    let Some(address) = address(pod) else { return };
    // The address may have been given to a new pod already.
    if pods.get(&address).is_some_and(|serving| Some(&serving.uid) == pod.uid().as_ref()) {
        pods.remove(&address);
    }
}

fn address(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

/// Ready, or on its way out after it has been.
fn serves(pod: &Pod, served_before: bool) -> bool {
    let Some(status) = &pod.status else { return false };
    let running = status.phase.as_deref() == Some("Running");
    let ready =
        status.conditions.iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    running && (ready || (served_before && pod.metadata.deletion_timestamp.is_some()))
}

fn version(pod: &Pod) -> String {
    let labels = pod.labels();
    let found = labels.get("version").or_else(|| labels.get("rollouts-pod-template-hash"));
    found.cloned().unwrap_or_else(|| pod.name_any())
}

async fn serve(mut stream: TcpStream, pods: Pods) {
    // An orderly end would look like an idle keep-alive connection that closes; a pod that is gone resets.
    drop(stream.set_zero_linger());
    drop(stream.set_nodelay(true));
    let Ok(local) = stream.local_addr() else { return };
    let (answer, mut life) = {
        let pods = pods.read().await;
        let Some(pod) = pods.get(&local.ip()) else { return };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nx-version: {}\r\nx-pod: {}\r\ncontent-length: 0\r\n\r\n",
            pod.version, pod.name
        );
        (answer, pod.life.subscribe())
    };
    let mut buffer = Vec::new();
    loop {
        tokio::select! {
            _ = life.changed() => return,
            request = http::read(&mut stream, &mut buffer) => {
                if !matches!(request, Ok(Some(_))) || stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}
