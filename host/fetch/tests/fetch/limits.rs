use std::env;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use kulta_fetch::{Failure, Fetcher, FetcherError, Request, Secrets, Settings, SettingsError};

use crate::server::{Answer, Server, fetch, fetcher, get, install_tls, ok, settings, text};

#[tokio::test]
async fn loopback_is_denied_by_default() {
    let server = Server::start(|_| ok("")).await;
    let strict = || Settings { loopback: false, ..settings() };

    for url in [&server.url, &server.by_name()] {
        let failure = fetch(strict(), get(url)).await.unwrap_err();

        assert!(matches!(&failure, Failure::Denied(why) if why.contains("loopback")), "{url}: {failure:?}");
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_name_with_a_loopback_address_is_allowed_by_the_setting() {
    let server = Server::start(|_| ok("here")).await;

    let response = fetch(settings(), get(server.by_name())).await.unwrap();

    assert_eq!(text(&response), "here");
}

#[tokio::test]
async fn an_address_on_the_deny_list_is_denied_by_its_name_too() {
    let server = Server::start(|_| ok("")).await;
    let denied = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap()).to_vec();

    for url in [&server.url, &server.by_name()] {
        let failure = fetch(Settings { denied: denied.clone(), ..settings() }, get(url)).await.unwrap_err();

        assert!(matches!(&failure, Failure::Denied(why) if why.contains("deny list")), "{url}: {failure:?}");
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_metadata_service_is_always_denied() {
    for url in
        ["http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://[::ffff:169.254.169.254]/"]
    {
        let failure = fetch(settings(), get(url)).await.unwrap_err();

        assert!(matches!(failure, Failure::Denied(_)), "{url}: {failure:?}");
    }
}

#[tokio::test]
async fn a_url_outside_the_prefixes_is_denied_and_named() {
    let server = Server::start(|_| ok("")).await;
    let prefixes = vec![format!("{}/api", server.url).parse().unwrap()];
    let narrow = || Settings { prefixes: prefixes.clone(), ..settings() };

    let inside = fetch(narrow(), get(format!("{}/api/v1", server.url))).await;
    let outside = fetch(narrow(), get(format!("{}/admin", server.url))).await.unwrap_err();

    assert!(inside.is_ok(), "{inside:?}");
    assert!(matches!(&outside, Failure::Denied(why) if why.contains("/admin")), "{outside:?}");
}

#[tokio::test]
async fn only_http_and_https_urls_are_allowed() {
    for url in ["ftp://metrics.example/", "file:///etc/passwd", "data:,x"] {
        let failure = fetch(settings(), get(url)).await.unwrap_err();

        assert!(matches!(failure, Failure::Denied(_)), "{url}: {failure:?}");
    }
}

#[tokio::test]
async fn the_number_of_concurrent_requests_is_limited() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now_there, most_there) = (Arc::clone(&now), Arc::clone(&most));
    let url = crate::server::raw(move |mut stream| {
        let (now, most) = (Arc::clone(&now_there), Arc::clone(&most_there));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
        }
    })
    .await;
    let (fetcher, secrets) = (fetcher(Settings { in_flight: 2, ..settings() }), Secrets::new());

    let answers = join_all((0..8).map(|number| fetcher.fetch(get(format!("{url}{number}")), &secrets))).await;

    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_request_ends_at_its_timeout() {
    let server = Server::start(|_| Answer { delay: Duration::from_secs(30), ..ok("") }).await;
    let started = Instant::now();

    let request = Request { timeout: Duration::from_millis(200), ..get(&server.url) };
    let failure = fetch(settings(), request).await.unwrap_err();

    assert_eq!(failure, Failure::Timeout);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_requests_timeout_is_capped_at_the_longest() {
    let server = Server::start(|_| Answer { delay: Duration::from_secs(30), ..ok("") }).await;
    let settings = Settings { longest_timeout: Duration::from_millis(200), ..settings() };

    let failure = fetch(settings, Request { timeout: Duration::from_hours(1), ..get(&server.url) }).await.unwrap_err();

    assert_eq!(failure, Failure::Timeout);
}

#[test]
fn limits_of_zero_are_rejected() {
    install_tls();

    let error = Fetcher::new(Settings { in_flight: 0, ..Settings::default() }).err().unwrap();

    assert!(matches!(error, FetcherError::Settings(SettingsError::InFlight)), "{error}");
}

/// Runs itself in a child process, because proxies are read from the environment.
#[test]
fn a_proxy_in_the_environment_does_not_bypass_the_checks() {
    const NAME: &str = "limits::a_proxy_in_the_environment_does_not_bypass_the_checks";
    // Nothing listens there, so every request through the proxy fails.
    const PROXY: &str = "http://127.0.0.1:1";
    if env::var("HTTP_PROXY").as_deref() != Ok(PROXY) {
        let again = Command::new(env::current_exe().unwrap())
            .args(["--exact", NAME])
            .envs(["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"].map(|name| (name, PROXY)))
            .env_remove("NO_PROXY")
            .env_remove("no_proxy")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&again.stdout);
        assert!(again.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let answer = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let server = Server::start(|_| ok("direct")).await;
        fetch(settings(), get(&server.url)).await
    });

    assert_eq!(text(&answer.unwrap()), "direct");
}
