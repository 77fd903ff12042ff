//! The program behind every pod: kwok's pods run nothing, but all their addresses are local, so one listener answers
//! for them.
//!
//! The local address of a connection identifies the pod. The program answers with the pod's version in `x-version`, and
//! resets connections to addresses without a ready or terminating pod, as a node does. Labels make pods answer badly
//! ([`behaviour`]); answers are counted and can be scraped ([`counters`]).

pub mod behaviour;
pub mod counters;

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    pin::pin,
    sync::Arc,
    time::Instant,
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

use self::{
    behaviour::Behaviour,
    counters::{Counters, Owner},
};
use crate::{http, namespace::NODE_ADDRESS};

/// `targetPort` of the tests' Services.
pub const PORT: u16 = 9898;
/// The address of `/metrics` for all pods, on [`NODE_ADDRESS`].
pub const METRICS_PORT: u16 = 9899;

/// The label of the pod's revision.
const HASH: &str = "rollouts-pod-template-hash";

/// A serving pod.
#[derive(Debug)]
struct Serving {
    uid: String,
    name: String,
    version: String,
    counters: Arc<Counters>,
    /// Its current behaviour. Dropped with the pod, which ends all connections to it.
    life: watch::Sender<Behaviour>,
}

type Pods = Arc<RwLock<HashMap<IpAddr, Serving>>>;

/// Answers for all pods of the cluster until the future is dropped.
pub async fn run(client: Client) -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await.context("listen for the pods")?;
    let metrics = TcpListener::bind((NODE_ADDRESS, METRICS_PORT)).await.context("listen for Prometheus")?;
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
                // Out of file descriptors, or the peer has already left: the next accept may succeed.
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(serve(stream, pods.clone()));
                }
            }
            scraped = metrics.accept() => {
                if let Ok((stream, _)) = scraped {
                    tokio::spawn(scrape(stream, pods.clone()));
                }
            }
        }
    }
}

/// `listed` collects the pods of a new list: pods that are missing in it were deleted between two watches.
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
        let behaviour = Behaviour::of(pod.labels());
        match pods.get(&address).filter(|_| known) {
            Some(serving) => {
                serving.life.send_replace(behaviour);
            }
            None => {
                pods.insert(address, serving(pod, uid, behaviour));
            }
        }
    } else if known {
        pods.remove(&address);
    }
}

fn serving(pod: &Pod, uid: String, behaviour: Behaviour) -> Serving {
    let label = |key: &str| pod.labels().get(key).cloned().unwrap_or_default();
    let owner = Owner {
        namespace: pod.namespace().unwrap_or_default(),
        app: label("app"),
        version: version(pod),
        hash: label(HASH),
        pod: pod.name_any(),
    };
    Serving {
        uid,
        name: pod.name_any(),
        version: version(pod),
        counters: Arc::new(Counters::of(owner)),
        life: watch::Sender::new(behaviour),
    }
}

fn remove(pods: &mut HashMap<IpAddr, Serving>, pod: &Pod) {
    let Some(address) = address(pod) else { return };
    // A new pod may already have the address.
    if pods.get(&address).is_some_and(|serving| Some(&serving.uid) == pod.uid().as_ref()) {
        pods.remove(&address);
    }
}

fn address(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

/// Ready, or terminating after it was ready.
fn serves(pod: &Pod, served_before: bool) -> bool {
    let Some(status) = &pod.status else { return false };
    let running = status.phase.as_deref() == Some("Running");
    let ready =
        status.conditions.iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    running && (ready || (served_before && pod.metadata.deletion_timestamp.is_some()))
}

fn version(pod: &Pod) -> String {
    let labels = pod.labels();
    let found = labels.get("version").or_else(|| labels.get(HASH));
    found.cloned().unwrap_or_else(|| pod.name_any())
}

async fn serve(mut stream: TcpStream, pods: Pods) {
    // A regular end would look like an idle keep-alive connection that closes; a deleted pod resets.
    drop(stream.set_zero_linger());
    drop(stream.set_nodelay(true));
    let Ok(local) = stream.local_addr() else { return };
    let (headers, counters, life) = {
        let pods = pods.read().await;
        let Some(pod) = pods.get(&local.ip()) else { return };
        let headers = format!("x-version: {}\r\nx-pod: {}\r\ncontent-length: 0\r\n\r\n", pod.version, pod.name);
        (headers, pod.counters.clone(), pod.life.subscribe())
    };
    let mut buffer = Vec::new();
    loop {
        let exchange = async {
            let request = http::read(&mut stream, &mut buffer).await;
            if !matches!(request, Ok(Some(_))) {
                return false;
            }
            let (began, number) = (Instant::now(), counters.begin());
            let behaviour = *life.borrow();
            tokio::time::sleep(behaviour.delay).await;
            let failed = behaviour.fails(number);
            counters.end(failed, began.elapsed());
            let status = if failed { "500 Internal Server Error" } else { "200 OK" };
            stream.write_all(format!("HTTP/1.1 {status}\r\n{headers}").as_bytes()).await.is_ok()
        };
        tokio::select! {
            () = gone(life.clone()) => return,
            goes_on = exchange => if !goes_on { return },
        }
    }
}

/// Until the pod is gone.
async fn gone(mut life: watch::Receiver<Behaviour>) {
    while life.changed().await.is_ok() {}
}

/// Answers every request with all counters.
async fn scrape(mut stream: TcpStream, pods: Pods) {
    let mut buffer = Vec::new();
    while matches!(http::read(&mut stream, &mut buffer).await, Ok(Some(_))) {
        let page = {
            let pods = pods.read().await;
            counters::page(pods.values().map(|pod| pod.counters.as_ref()))
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\n\r\n",
            page.len()
        );
        if stream.write_all((head + &page).as_bytes()).await.is_err() {
            return;
        }
    }
}
