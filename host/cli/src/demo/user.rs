//! The user actions of the demo: over HTTP, as kubectl and its plugin for rollouts make them.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use gateway_api::apis::standard::{gatewayclasses::GatewayClass, gateways::Gateway, httproutes::HttpRoute};
use http::{Method, Request, header};
use kube::{Client, CustomResourceExt};
use serde_json::Value;

use super::app::{self, NAMESPACE, ROLLOUT, Version};
use super::cluster;
use super::speed::Speed;

/// User agent of the user's writes.
const USER: &str = "user";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";

pub struct User {
    client: Client,
}

impl User {
    /// # Errors
    /// If the client cannot be created.
    pub fn new(address: SocketAddr) -> Result<Self> {
        Ok(Self { client: cluster::client(address, USER)? })
    }

    /// Installs the CRDs, and all objects of the application except its Rollout.
    ///
    /// # Errors
    /// If the API server rejects an object or cannot be reached.
    pub async fn prepare(&self, controller_name: &str) -> Result<()> {
        let own = kulta_api::crd::Kind::ALL.map(kulta_api::crd::Kind::definition);
        for definition in own.into_iter().chain([HttpRoute::crd(), Gateway::crd(), GatewayClass::crd()]) {
            let definition = serde_json::to_value(definition).context("write a definition as JSON")?;
            self.send(Method::POST, DEFINITIONS, JSON, &definition).await?;
        }
        for (path, object) in app::surroundings(controller_name) {
            self.send(Method::POST, &path, JSON, &object).await?;
        }
        Ok(())
    }

    /// # Errors
    /// If the API server rejects the write or cannot be reached.
    pub async fn deploy(&self, version: Version, speed: Speed) -> Result<()> {
        match version {
            Version::First => self.send(Method::POST, &rollouts(), JSON, &app::rollout(speed)).await,
            Version::Good | Version::Bad => {
                self.send(Method::PATCH, &rollout(), JSON_PATCH, &app::update(version)).await
            }
        }
    }

    async fn send(&self, method: Method, path: &str, content_type: &str, body: &Value) -> Result<()> {
        let request = Request::builder()
            .method(&method)
            .uri(path)
            .header(header::CONTENT_TYPE, content_type)
            .body(body.to_string().into_bytes())
            .context("write a request")?;
        let answer: Result<Value, kube::Error> = self.client.request(request).await;
        answer.map(drop).with_context(|| format!("{method} {path}"))
    }
}

fn rollouts() -> String {
    format!("/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/rollouts")
}

fn rollout() -> String {
    format!("{}/{ROLLOUT}", rollouts())
}
