//! The HTTP handler.

mod path;
mod query;
mod request;
mod resource;
mod show;
mod stream;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{Method, StatusCode};
use serde_json::Value;

use crate::discovery::{self, Discovery, Resource, Subresource};
use crate::faults::Verdict;
use crate::kind::{BuiltIn, Kind};
use crate::server::Server;
use crate::status::ApiError;
use path::Place;
use request::Incoming;

/// Handles every request of the server.
pub async fn answer(State(server): State<Server>, request: axum::extract::Request) -> Response {
    match Incoming::read(request).await {
        Ok(incoming) => respond(&server, &incoming).await.unwrap_or_else(|error| show::refuse(&error)),
        Err(error) => show::refuse(&error),
    }
}

async fn respond(server: &Server, incoming: &Incoming) -> Result<Response, ApiError> {
    let target = match path::parse(&incoming.path, server.store())? {
        Place::Resource(target) => target,
        place => return document(server, incoming, &place),
    };
    let call = incoming.call(&target)?;
    if let Some(faults) = server.faults() {
        obey(faults.before(&call)).await?;
    }
    let response = resource::answer(server, incoming, &target, &call)?;
    if let Some(faults) = server.faults() {
        obey(faults.after(&call)).await?;
    }
    Ok(response)
}

async fn obey(verdict: Verdict) -> Result<(), ApiError> {
    match verdict {
        Verdict::Pass => Ok(()),
        Verdict::Refuse(error) => Err(error),
        Verdict::Delay(duration) => {
            tokio::time::sleep(duration).await;
            Ok(())
        }
        Verdict::Hang => std::future::pending().await,
    }
}

/// Paths that are read only and belong to no resource.
fn document(server: &Server, incoming: &Incoming, place: &Place) -> Result<Response, ApiError> {
    if incoming.method != Method::GET {
        return Err(ApiError::method_not_allowed());
    }
    let kinds = server.store().kinds();
    let served = Discovery::new(kinds.iter().map(|kind| described(kind)).collect());
    let aggregated = discovery::wants_aggregated(&incoming.accept);
    let found: Option<Value> = match place {
        Place::Health => return Ok(show::typed(StatusCode::OK.as_u16(), "text/plain", Body::from("ok"))),
        Place::CoreVersions | Place::Groups if aggregated => {
            let all =
                if matches!(place, Place::Groups) { served.aggregated_groups() } else { served.aggregated_core() };
            return Ok(show::typed(StatusCode::OK.as_u16(), discovery::AGGREGATED, Body::from(all.to_string())));
        }
        Place::Version => Some(discovery::version()),
        Place::CoreVersions => Some(served.core_versions()),
        Place::Groups => Some(served.groups()),
        Place::Group(group) => served.group(group),
        Place::Resources { group, version } => served.resource_list(group, version),
        Place::OpenApiIndex => Some(served.openapi_index()),
        Place::OpenApi { group, version } => served.openapi(group, version),
        Place::Resource(_) => None,
    };
    let found = found.ok_or_else(|| ApiError::not_served(&incoming.path))?;
    Ok(show::respond(StatusCode::OK.as_u16(), &found))
}

fn described(kind: &Kind) -> Resource {
    let verbs = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let part = |name: &str, (group, version, kind): (&str, &str, &str), names: &[&str]| Subresource {
        name: name.to_owned(),
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        verbs: verbs(names),
    };
    let own = (kind.group(), kind.version.as_str(), kind.kind.as_str());
    let status = kind.status.then(|| part("status", own, &["get", "patch", "update"]));
    let scale = kind.scale.as_ref().map(|_| part("scale", ("autoscaling", "v1", "Scale"), &["get", "patch", "update"]));
    let eviction = kind.is(BuiltIn::Pod).then(|| part("eviction", ("policy", "v1", "Eviction"), &["create"]));
    Resource {
        group: kind.group().to_owned(),
        version: kind.version.clone(),
        kind: kind.kind.clone(),
        plural: kind.plural().to_owned(),
        singular: kind.singular.clone(),
        short_names: kind.short_names.clone(),
        categories: kind.categories.clone(),
        namespaced: kind.namespaced,
        verbs: verbs(&["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]),
        subresources: eviction.into_iter().chain(scale).chain(status).collect(),
    }
}
