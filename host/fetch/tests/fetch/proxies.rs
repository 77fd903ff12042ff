use std::net::SocketAddr;
use std::sync::Arc;

use kulta_fetch::{Failure, Proxies, Request, Right, Rights, Settings};

use crate::proxy_server::ProxyServer;
use crate::server::{Server, fetch, file, get, ok, redirect, text};
use crate::tls;

/// A host that no resolver knows (RFC 6761).
const NOWHERE: &str = "metrics.invalid";

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().unwrap()
}

/// Loopback is denied, as in the controller: only the proxy itself is there.
fn settings(proxy: &str, prefixes: &[&str]) -> Settings {
    Settings {
        proxies: Proxies::new(Some(proxy), Some(proxy), "").unwrap(),
        prefixes: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
        loopback: false,
        ..crate::server::settings()
    }
}

async fn proxied(server: &Server) -> (ProxyServer, String) {
    let proxy = ProxyServer::start(address(&server.url)).await;
    let url = format!("http://{}", proxy.address);
    (proxy, url)
}

#[tokio::test]
async fn an_http_request_goes_through_the_proxy() {
    let server = Server::start(|_| ok("up")).await;
    let (proxy, url) = proxied(&server).await;

    let answer = fetch(settings(&url, &["http://metrics.invalid"]), get("http://metrics.invalid/query")).await;

    assert_eq!(text(&answer.unwrap()), "up");
    assert_eq!(proxy.request_lines(), ["get http://metrics.invalid/query http/1.1"]);
}

#[tokio::test]
async fn an_https_request_goes_through_a_tunnel_of_the_proxy() {
    let (certificate, key) = tls::identity();
    let [certificate_file, key_file] = ["proxies.certificate", "proxies.key"].map(file);
    std::fs::write(&certificate_file, certificate).unwrap();
    std::fs::write(&key_file, key).unwrap();
    let secure = tls::serve(&certificate_file, &key_file).await;
    let port = secure.trim_end_matches('/').rsplit(':').next().unwrap();
    let proxy = ProxyServer::start(format!("127.0.0.1:{port}").parse().unwrap()).await;
    let request = Request { skip_tls_verify: true, ..get("https://metrics.invalid/") };

    let answer = fetch(settings(&proxy.address.to_string(), &["https://metrics.invalid"]), request).await;

    assert_eq!(text(&answer.unwrap()), "secure");
    assert_eq!(proxy.request_lines(), ["connect metrics.invalid:443 http/1.1"]);
}

#[tokio::test]
async fn the_proxys_password_is_sent_to_the_proxy() {
    let server = Server::start(|_| ok("up")).await;
    let (proxy, _) = proxied(&server).await;
    let url = format!("http://me:passw0rd@{}", proxy.address);

    fetch(settings(&url, &["http://metrics.invalid"]), get("http://metrics.invalid/")).await.unwrap();

    // "me:passw0rd", in lower case like the rest of the head.
    assert!(proxy.heads().concat().contains("proxy-authorization: basic bwu6cgfzc3cwcmq="), "{:?}", proxy.heads());
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_here_is_not_left_to_the_proxy_unless_an_administrator_named_it() {
    let server = Server::start(|_| ok("up")).await;
    let (proxy, url) = proxied(&server).await;

    let failure = fetch(settings(&url, &[]), get(format!("http://{NOWHERE}/"))).await.unwrap_err().to_string();

    assert!(failure.contains("cannot be resolved here") && failure.contains("--analysis-url-prefix"), "{failure}");
    assert_eq!(proxy.request_lines(), Vec::<String>::new());
}

#[tokio::test]
async fn a_name_in_a_plugins_grant_may_be_one_that_only_the_proxy_can_resolve() {
    let server = Server::start(|_| ok("up")).await;
    let (_proxy, url) = proxied(&server).await;
    let grant = Right { prefix: Some("http://metrics.invalid".parse().unwrap()), ..Right::default() };
    let rights = Some(Arc::new(Rights { grants: vec![grant], body_limit: 1_000 }));

    let answer = fetch(settings(&url, &[]), Request { rights, ..get("http://metrics.invalid/") }).await;

    assert_eq!(text(&answer.unwrap()), "up");
}

#[tokio::test]
async fn a_denied_address_is_not_reached_through_the_proxy() {
    let server = Server::start(|_| ok("up")).await;
    let (proxy, url) = proxied(&server).await;

    for target in
        ["http://169.254.169.254/latest", "http://100.100.100.200/", "http://[fd00:ec2::254]/", "http://0.0.0.0/"]
    {
        let failure = fetch(settings(&url, &[]), get(target)).await.unwrap_err();

        assert!(matches!(failure, Failure::Denied(_)), "{target}: {failure}");
    }
    assert_eq!(proxy.request_lines(), Vec::<String>::new());
}

#[tokio::test]
async fn a_redirect_to_a_denied_address_is_not_followed_through_the_proxy() {
    let server = Server::start(|_| redirect(302, "http://169.254.169.254/latest")).await;
    let (proxy, url) = proxied(&server).await;

    let failure = fetch(settings(&url, &[]), get("http://192.0.2.1/")).await.unwrap_err();

    assert!(matches!(&failure, Failure::Denied(why) if why.contains("link-local")), "{failure}");
    assert_eq!(proxy.request_lines(), ["get http://192.0.2.1/ http/1.1"]);
}

#[tokio::test]
async fn loopback_is_reached_without_the_proxy() {
    let server = Server::start(|_| ok("up")).await;
    let (proxy, url) = proxied(&server).await;

    fetch(Settings { loopback: true, ..settings(&url, &[]) }, get(&server.url)).await.unwrap();

    assert_eq!((server.received().len(), proxy.request_lines().len()), (1, 0));
}

#[tokio::test]
async fn an_exempt_host_is_resolved_and_checked_here() {
    let server = Server::start(|_| ok("up")).await;
    let (proxy, url) = proxied(&server).await;
    let proxies = Proxies::new(Some(&url), None, NOWHERE).unwrap();

    let failure = fetch(Settings { proxies, ..settings(&url, &[]) }, get(format!("http://{NOWHERE}/"))).await;

    assert!(failure.is_err());
    assert_eq!(proxy.request_lines(), Vec::<String>::new());
}
