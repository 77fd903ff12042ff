//! A case's own namespace, and requests in it.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::{Stream, StreamExt};
use http::Request;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use crate::transcript::normal;

/// How long a real cluster may take for what its controllers do.
const SOON: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
/// Who writes, unless a case says otherwise.
const MANAGER: &str = "conformance";

pub struct Place {
    client: Client,
    pub namespace: String,
    said: Mutex<Vec<String>>,
}

/// An answer, and what was asked.
#[derive(Debug)]
pub struct Answer {
    asked: String,
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The body, if the request ended so.
    pub fn is(self, status: u16) -> Result<Value> {
        ensure!(self.status == status, "{}: {} instead of {status}: {}", self.asked, self.status, self.body);
        Ok(self.body)
    }

    /// The Status, if the request was refused so.
    pub fn refused(self, status: u16, reason: &str) -> Result<Value> {
        let asked = self.asked.clone();
        let body = self.is(status)?;
        let right = body["kind"] == "Status" && body["reason"] == reason && body["code"] == status;
        ensure!(right, "{asked}: not refused as {reason}: {body}");
        Ok(body)
    }
}

/// What a patch is in.
#[derive(Clone, Copy)]
pub enum Format {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl Format {
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

pub type Events = Pin<Box<dyn Stream<Item = Result<Value>> + Send>>;

impl Place {
    pub async fn begin(client: &Client, case: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name: String = case.chars().take(24).map(|c| if c == '_' { '-' } else { c }).collect();
        let namespace = format!("{}-{}-{count}", name.trim_matches('-'), std::process::id());
        let place = Self { client: client.clone(), namespace, said: Mutex::new(Vec::new()) };
        let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": place.namespace } });
        place.quietly("POST", "/api/v1/namespaces", "application/json", body.to_string()).await?.is(201)?;
        Ok(place)
    }

    pub async fn end(&self) -> Result<()> {
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        self.quietly("DELETE", &path, "application/json", String::new()).await.map(drop)
    }

    pub fn transcript(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where objects of a kind are in this namespace: `v1` or `apps/v1`, and the plural, with a name behind it or not.
    pub fn path(&self, api_version: &str, rest: &str) -> String {
        let root = if api_version.contains('/') { "apis" } else { "api" };
        format!("/{root}/{api_version}/namespaces/{}/{rest}", self.namespace)
    }

    pub fn config_maps(&self, name: &str) -> String {
        self.path("v1", &joined("configmaps", name))
    }

    pub fn gadgets(&self, name: &str) -> String {
        self.path("conformance.kulta.io/v1", &joined("gadgets", name))
    }

    pub fn replica_sets(&self, name: &str) -> String {
        self.path("apps/v1", &joined("replicasets", name))
    }

    pub fn pods(&self, name: &str) -> String {
        self.path("v1", &joined("pods", name))
    }

    /// A request, written down with its answer.
    pub async fn send(&self, method: &str, path: &str, media_type: &str, body: String) -> Result<Answer> {
        let answer = self.quietly(method, path, media_type, body).await?;
        let names = [(self.namespace.clone(), "<namespace>")];
        let said = format!(
            "{} -> {} {}",
            normal(&answer.asked.as_str().into(), &names),
            answer.status,
            normal(&answer.body, &names)
        );
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push(said);
        Ok(answer)
    }

    /// A request that is not written down: how often it is made depends on how fast the server is.
    pub async fn quietly(&self, method: &str, path: &str, media_type: &str, body: String) -> Result<Answer> {
        self.exchange(method, path, (media_type, "application/json"), body).await
    }

    /// A GET of another representation.
    pub async fn accepting(&self, path: &str, accept: &str) -> Result<Answer> {
        self.exchange("GET", path, ("application/json", accept), String::new()).await
    }

    async fn exchange(&self, method: &str, path: &str, (sent, accept): (&str, &str), body: String) -> Result<Answer> {
        let asked = format!("{method} {path}");
        let request = Request::builder().method(method).uri(signed(path)).header("content-type", sent);
        let request = request.header("accept", accept).body(Body::from(body.into_bytes()))?;
        let response = self.client.send(request).await.with_context(|| asked.clone())?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.with_context(|| asked.clone())?.to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
        Ok(Answer { asked, status, body })
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send("GET", path, "application/json", String::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send("POST", path, "application/json", body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send("PUT", path, "application/json", body.to_string()).await
    }

    pub async fn patch(&self, format: Format, path: &str, body: &Value) -> Result<Answer> {
        self.send("PATCH", path, format.media_type(), body.to_string()).await
    }

    pub async fn merge(&self, path: &str, body: &Value) -> Result<Answer> {
        self.patch(Format::Merge, path, body).await
    }

    pub async fn delete(&self, path: &str, options: &Value) -> Result<Answer> {
        self.send("DELETE", path, "application/json", options.to_string()).await
    }

    /// Waits until a GET ends with a status and a body that is as wanted.
    pub async fn until(&self, path: &str, status: u16, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let waited = async {
            loop {
                let answer = self.quietly("GET", path, "application/json", String::new()).await?;
                if answer.status == status && wanted(&answer.body) {
                    return Ok(answer.body);
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(SOON, waited)
            .await
            .unwrap_or_else(|_| bail!("GET {path}: not {status} as wanted in {SOON:?}"))
    }

    /// Events as they come, one line each.
    pub async fn watch(&self, path: &str) -> Result<Events> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let request = Request::get(format!("{path}{separator}watch=true")).body(Body::empty())?;
        let response = self.client.send(request).await?;
        let status = response.status().as_u16();
        ensure!(status == 200, "watch {path}: {status}: {:?}", response.into_body().collect().await?.to_bytes());
        let chunks = response.into_body().into_data_stream();
        let lines = futures::stream::unfold((chunks, Vec::new()), |(mut chunks, mut buffer)| async move {
            loop {
                if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = buffer.drain(..=end).collect();
                    return Some((serde_json::from_slice(&line).context("read an event"), (chunks, buffer)));
                }
                match chunks.next().await? {
                    Ok(chunk) => buffer.extend_from_slice(&chunk),
                    Err(error) => return Some((Err(error.into()), (chunks, buffer))),
                }
            }
        });
        Ok(Box::pin(lines))
    }

    /// The next event: its type and its object.
    pub async fn event(&self, events: &mut Events) -> Result<(String, Value)> {
        let line = tokio::time::timeout(SOON, events.next()).await.context("no event came")?;
        let line = line.context("the watch ended")??;
        let names = [(self.namespace.clone(), "<namespace>")];
        let said = format!("event {}", normal(&line, &names));
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push(said);
        Ok((line["type"].as_str().unwrap_or_default().to_owned(), line["object"].clone()))
    }
}

fn joined(plural: &str, name: &str) -> String {
    if name.is_empty() || name.starts_with('?') { format!("{plural}{name}") } else { format!("{plural}/{name}") }
}

/// A path with a field manager, if it names none.
fn signed(path: &str) -> String {
    if path.contains("fieldManager=") {
        return path.to_owned();
    }
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}fieldManager={MANAGER}")
}

/// A ConfigMap.
pub fn config_map(name: &str, value: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": { "app": name } }, "data": { "a": value } })
}

/// A ReplicaSet that wants no pods.
pub fn replica_set(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": name },
        "spec": {
            "replicas": 0, "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "example.com/app:1", "ports": [{ "containerPort": 80 }] }] },
            },
        },
    })
}

/// A pod that no scheduler knows.
pub fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "schedulerName": "nobody", "containers": [{ "name": "main", "image": "example.com/app" }] },
    })
}

/// A custom resource that every case may use.
pub fn gadget(name: &str) -> Value {
    json!({ "apiVersion": "conformance.kulta.io/v1", "kind": "Gadget", "metadata": { "name": name }, "spec": { "colour": "red" } })
}

/// Names of a list's items.
pub fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().into_iter().flatten().filter_map(|item| item["metadata"]["name"].as_str()).collect()
}

/// The value that a failed expectation shows.
pub fn expect(right: bool, what: &str, shown: &Value) -> Result<()> {
    ensure!(right, "{what}: {shown}");
    Ok(())
}
