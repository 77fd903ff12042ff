//! The external metrics API (`external.metrics.k8s.io/v1beta1`) as scenarios want it to answer: an aggregated API that the API server
//! proxies to this process, so that the controller-manager's HorizontalPodAutoscalers read from it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject},
};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    api, certificates,
    http::{self, Message},
    kinds,
    namespace::NODE_ADDRESS,
    wait,
};

const GROUP: &str = "external.metrics.k8s.io";
const VERSION: &str = "v1beta1";
/// The name of the APIService, which the API server prescribes.
const API_SERVICE: &str = "v1beta1.external.metrics.k8s.io";
/// Where the Service is by which the API server finds this process.
const NAMESPACE: &str = "default";
const SERVICE: &str = "metrics-of-tests";
/// How long the API server may take until it proxies to this process.
const SERVED: Duration = Duration::from_secs(30);

/// Values by the names of metrics.
type Values = Arc<Mutex<BTreeMap<String, i64>>>;

/// A running metrics API. A cluster has one at a time: [`MetricsApi::stop`] makes room for the next.
pub struct MetricsApi {
    client: Client,
    values: Values,
    server: JoinHandle<()>,
}

impl MetricsApi {
    /// Serves the API and waits until the API server proxies to it.
    pub async fn start(client: &Client) -> Result<Self> {
        crate::install_tls_provider();
        let listener = TcpListener::bind((NODE_ADDRESS, 0)).await.context("listen for the API server")?;
        let port = listener.local_addr()?.port();
        let (acceptor, values) = (acceptor()?, Values::default());
        let kept = Arc::clone(&values);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, values) = (acceptor.clone(), Arc::clone(&kept));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, &values).await;
                    }
                });
            }
        });
        let made = Self { client: client.clone(), values, server };
        made.register(port).await?;
        Ok(made)
    }

    /// What the metric says from now on, in every namespace.
    pub fn set(&self, metric: &str, value: i64) {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).insert(metric.to_owned(), value);
    }

    /// Takes the API off the API server: one that does not answer would keep namespaces from being deleted.
    pub async fn stop(self) -> Result<()> {
        let services: Api<DynamicObject> = Api::all_with(self.client.clone(), &kinds::api_service());
        services.delete(API_SERVICE, &DeleteParams::default()).await.context("take the metrics API away")?;
        Ok(())
    }

    async fn register(&self, port: u16) -> Result<()> {
        // The API server resolves a Service of this type by itself: nothing in the test cluster routes cluster addresses.
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE},
            "spec": {"type": "ExternalName", "externalName": NODE_ADDRESS.to_string()},
        });
        api::apply(&self.client, NAMESPACE, service).await?;
        let registration = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": API_SERVICE},
            "spec": {
                "group": GROUP, "version": VERSION, "groupPriorityMinimum": 100, "versionPriority": 100,
                "insecureSkipTLSVerify": true,
                "service": {"namespace": NAMESPACE, "name": SERVICE, "port": port},
            },
        });
        api::apply(&self.client, "", registration).await?;
        let services: Api<DynamicObject> = Api::all_with(self.client.clone(), &kinds::api_service());
        wait::until(&services, API_SERVICE, "the API server to reach it", SERVED, |service| {
            api::condition(service, "Available").is_some_and(|(status, _)| status == "True")
        })
        .await
        .map(drop)
    }
}

impl Drop for MetricsApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// With a certificate of an authority of its own, which nobody checks.
fn acceptor() -> Result<TlsAcceptor> {
    let pair = certificates::Authority::create()?.server("metrics", vec![NODE_ADDRESS.to_string()])?;
    let certificates = rustls::pki_types::CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
    let certificates = certificates.collect::<Result<Vec<_>, _>>().context("read the certificate")?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).context("read the key")?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, values: &Values) {
    let mut buffer = Vec::new();
    while let Ok(Some(request)) = http::read(&mut stream, &mut buffer).await {
        let (status, body) = answer(&request, &values.lock().unwrap_or_else(PoisonError::into_inner));
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} as wanted\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(head.as_bytes()).await.is_err() || request.closes() {
            return;
        }
    }
}

/// Status and body for a request of `…/namespaces/<namespace>/<metric>`, or of the API itself.
fn answer(request: &Message, values: &BTreeMap<String, i64>) -> (u16, Value) {
    let path = request.second().split('?').next().unwrap_or_default();
    let api = format!("/apis/{GROUP}/{VERSION}");
    let metric = path.strip_prefix(&api).and_then(|rest| rest.strip_prefix("/namespaces/")?.split('/').nth(1));
    match metric {
        None if path.trim_end_matches('/') == api => {
            let version = format!("{GROUP}/{VERSION}");
            (200, json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": []}))
        }
        Some(metric) => {
            let item = |value: &i64| {
                json!({"metricName": metric, "metricLabels": {}, "timestamp": jiff::Timestamp::now().to_string(),
                    "value": value.to_string()})
            };
            let items: Vec<Value> = values.get(metric).map(item).into_iter().collect();
            let version = format!("{GROUP}/{VERSION}");
            (200, json!({"kind": "ExternalMetricValueList", "apiVersion": version, "metadata": {}, "items": items}))
        }
        None => (404, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str) -> (u16, Value) {
        let request = Message { start: format!("GET {path} HTTP/1.1"), ..Message::default() };
        answer(&request, &BTreeMap::from([("queue".to_owned(), 7)]))
    }

    #[test]
    fn a_metric_is_answered_by_its_name_in_any_namespace() {
        let (status, body) = asked("/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queue?labelSelector=");

        assert_eq!((status, body["items"][0]["value"].as_str()), (200, Some("7")));
    }

    #[test]
    fn a_metric_without_a_value_has_no_items() {
        let (status, body) = asked("/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/other");

        assert_eq!((status, body["items"].as_array().map(Vec::len)), (200, Some(0)));
    }

    #[test]
    fn the_api_server_finds_the_api_and_nothing_else() {
        let statuses = ["/apis/external.metrics.k8s.io/v1beta1", "/apis", "/openapi/v2"].map(|path| asked(path).0);

        assert_eq!(statuses, [200, 404, 404]);
    }
}
