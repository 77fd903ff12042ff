use kulta_oci::{Credentials, Settings};
use reqwest::Proxy;

use crate::proxy_server::ProxyServer;
use crate::server::{COMPONENT, Server, client};

/// A registry that no resolver knows (RFC 6761).
const NOWHERE: &str = "registry.invalid";

#[tokio::test]
async fn a_component_is_pulled_through_the_proxy() {
    let server = Server::registry(|_| None).await;
    let proxy = ProxyServer::start(server.host.parse().unwrap()).await;
    let choice = Proxy::all(format!("http://{}", proxy.address)).unwrap();
    let settings = Settings { plain_http: [NOWHERE.to_owned()].into(), proxy: Some(choice), ..server.settings() };
    let image = format!("{NOWHERE}/acme/plugin:1").parse().unwrap();

    let pulled = client(settings).pull(&image, None, &Credentials::Anonymous).await.unwrap();

    assert_eq!(pulled.component, COMPONENT);
    let lines = proxy.request_lines();
    let component = "get http://registry.invalid/v2/acme/plugin/blobs/sha256:";
    assert_eq!(lines.first().unwrap(), "get http://registry.invalid/v2/acme/plugin/manifests/1 http/1.1");
    assert!(lines.last().unwrap().starts_with(component), "{lines:?}");
}
