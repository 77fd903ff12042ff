//! Kubeconfigs: for the components' certificates and for service accounts, so that tests run with the shipped RBAC.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

/// A kubeconfig with one cluster, one user and the files' paths in it.
pub fn write(path: &Path, server: &str, authority: &Path, user: Value) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "kulta-tests", "cluster": {"server": server, "certificate-authority": authority}}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "kulta-tests", "context": {"cluster": "kulta-tests", "user": "user"}}],
        "current-context": "kulta-tests",
    });
    let text = serde_yaml::to_string(&config).context("write a kubeconfig")?;
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// The user part for a client certificate.
pub fn certificate_user(certificate: &Path, key: &Path) -> Value {
    json!({"client-certificate": certificate, "client-key": key})
}

/// A client for a kubeconfig file.
pub async fn client(path: &Path) -> Result<Client> {
    crate::install_tls_provider();
    let file = Kubeconfig::read_from(path).with_context(|| format!("read {}", path.display()))?;
    let config =
        Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.context("use the kubeconfig")?;
    Client::try_from(config).context("make a client")
}

/// Writes a kubeconfig for a ServiceAccount (with a token of one hour from the TokenRequest API) and returns its path.
///
/// `admin` is the kubeconfig whose server and authority are used, and whose user may create tokens.
pub async fn for_service_account(admin: &Path, namespace: &str, account: &str, folder: &Path) -> Result<PathBuf> {
    let api: Api<ServiceAccount> = Api::namespaced(client(admin).await?, namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() },
        ..TokenRequest::default()
    };
    let answer = api
        .create_token_request(account, &PostParams::default(), &request)
        .await
        .with_context(|| format!("ask for a token of the service account {namespace}/{account}"))?;
    let token = answer.status.context("the TokenRequest came back without a status")?.token;
    let file = Kubeconfig::read_from(admin).context("read the admin's kubeconfig")?;
    let cluster = file
        .clusters
        .first()
        .and_then(|named| named.cluster.as_ref())
        .context("the admin's kubeconfig has no cluster")?;
    let server = cluster.server.as_deref().context("the admin's kubeconfig has no server")?;
    let authority = cluster.certificate_authority.as_deref().context("the admin's kubeconfig has no authority")?;
    let path = folder.join(format!("{namespace}-{account}.kubeconfig"));
    write(&path, server, Path::new(authority), json!({ "token": token }))?;
    Ok(path)
}
