//! Which version of a kind the cluster serves: found, not assumed, because clusters install different releases of Gateway API.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use kube::Client;
use kube::core::ApiResource;
use kulta_api::RouteKind;
use kulta_api::gateway::GATEWAY_API_GROUP;

use crate::api_error::{ApiErrorClass, error_message};
use crate::kinds::Kind;

/// The served version of each kind of route that has been asked for.
#[derive(Debug, Default)]
pub struct ServedVersions(RwLock<BTreeMap<RouteKind, &'static str>>);

impl ServedVersions {
    /// The kind in its served version; in the preferred one if none has been found.
    #[must_use]
    pub fn resource(&self, kind: Kind) -> ApiResource {
        match kind {
            Kind::Route(route) => kind.resource_of_version(self.version(route)),
            _ => kind.resource(),
        }
    }

    fn version(&self, route: RouteKind) -> Option<&'static str> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&route).copied()
    }

    /// Asks the cluster which version of the kind it serves, and returns the kind in the preferred one of these. Kinds with a single
    /// known version cost no request. If the cluster does not answer, or serves none, the version that was found before stays.
    pub async fn find(&self, client: &Client, kind: Kind) -> ApiResource {
        if let Kind::Route(route) = kind
            && !route.older_versions().is_empty()
        {
            match served(client, route).await {
                Ok(Some(version)) => {
                    self.0.write().unwrap_or_else(PoisonError::into_inner).insert(route, version);
                }
                Ok(None) => {}
                Err(error) => {
                    let route = route.as_str();
                    tracing::warn!("cannot ask which version of {route} is served: {}", error_message(&error));
                }
            }
        }
        self.resource(kind)
    }
}

/// The preferred one of the versions that the cluster serves.
async fn served(client: &Client, route: RouteKind) -> Result<Option<&'static str>, kube::Error> {
    for version in route.versions() {
        if is_served(client, route, version).await? {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

async fn is_served(client: &Client, route: RouteKind, version: &str) -> Result<bool, kube::Error> {
    match client.list_api_group_resources(&format!("{GATEWAY_API_GROUP}/{version}")).await {
        Ok(list) => Ok(list.resources.iter().any(|resource| resource.name == route.plural())),
        Err(error) if ApiErrorClass::of(&error) == ApiErrorClass::Gone => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// A cluster that serves these resources of Gateway API, each in one version.
    fn cluster(served: &'static [(&'static str, &'static str)]) -> Client {
        let service = tower::service_fn(move |request: Request<Body>| async move {
            let version = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            let named =
                |name: &str| json!({ "name": name, "singularName": "", "namespaced": true, "kind": "", "verbs": [] });
            let resources: Vec<_> =
                served.iter().filter(|(_, of)| *of == version).map(|(name, _)| named(name)).collect();
            let (status, body) = if resources.is_empty() {
                (
                    404,
                    json!({ "kind": "Status", "status": "Failure", "code": 404, "message": "no", "reason": "NotFound" }),
                )
            } else {
                (200, json!({ "groupVersion": format!("{GATEWAY_API_GROUP}/{version}"), "resources": resources }))
            };
            let response = Response::builder().status(status).body(Body::from(body.to_string().into_bytes())).unwrap();
            Ok::<_, std::convert::Infallible>(response)
        });
        Client::new(service, "ns")
    }

    async fn found(served: &'static [(&'static str, &'static str)], route: RouteKind) -> String {
        let versions = ServedVersions::default();
        versions.find(&cluster(served), Kind::Route(route)).await.version
    }

    #[tokio::test]
    async fn the_preferred_of_the_served_versions_is_used() {
        let both = &[("tcproutes", "v1"), ("tcproutes", "v1alpha2")];

        assert_eq!(found(both, RouteKind::Tcp).await, "v1");
    }

    #[tokio::test]
    async fn an_older_version_is_used_where_only_that_is_served() {
        let mixed = &[("httproutes", "v1"), ("tcproutes", "v1alpha2"), ("tlsroutes", "v1alpha3")];

        assert_eq!(
            (found(mixed, RouteKind::Tcp).await, found(mixed, RouteKind::Tls).await),
            ("v1alpha2".to_owned(), "v1alpha3".to_owned())
        );
    }

    #[tokio::test]
    async fn a_kind_that_is_not_served_keeps_its_preferred_version() {
        assert_eq!(found(&[("httproutes", "v1")], RouteKind::Grpc).await, "v1");
    }

    /// Each namespace has a watch of its own.
    #[tokio::test]
    async fn every_watch_of_a_kind_finds_the_version_that_is_served_later() {
        let versions = ServedVersions::default();
        let kind = Kind::Route(RouteKind::Tcp);
        versions.find(&cluster(&[("tcproutes", "v1alpha2")]), kind).await;

        let later = cluster(&[("tcproutes", "v1")]);
        let (one, other) = (versions.find(&later, kind).await, versions.find(&later, kind).await);

        assert_eq!((one.version.as_str(), other.version.as_str()), ("v1", "v1"));
    }
}
