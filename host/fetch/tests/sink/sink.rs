use std::time::{Duration, Instant};

use kulta_fetch::{CdEventHttp, Delivery, LONGEST_RETRY_AFTER, Proxies, Sink, SinkConfig, SinkError};
use tokio::net::TcpListener;

use crate::proxy_server::ProxyServer;
use crate::server::{Server, wire};

const BODY: &str = r#"{"context":{}}"#;
const TIMEOUT: Duration = Duration::from_millis(500);

fn sink(url: &str) -> Sink {
    // Another test of the same process may have installed it already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    Sink::new(SinkConfig { url: url.to_owned(), timeout: TIMEOUT, proxies: Proxies::default() }).unwrap()
}

fn event() -> CdEventHttp {
    CdEventHttp {
        headers: vec![
            ("content-type".into(), "application/json".into()),
            ("ce-id".into(), "271069a8-fc18-44f1-b38f-9d70a1695819".into()),
            ("ce-subject".into(), "shop/a%20b".into()),
        ],
        body: BODY.into(),
    }
}

async fn answer(status: u16, headers: &'static [(&'static str, &'static str)]) -> Delivery {
    let server = Server::answering(status, headers, "what the sink says").await;
    sink(&server.url).deliver(&event()).await
}

#[tokio::test]
async fn an_event_is_sent_exactly_as_given() {
    let (url, received) = wire("HTTP/1.1 204 No Content\r\n\r\n", BODY.len()).await;
    let sink = sink(&url);

    sink.deliver(&event()).await;

    let request = received.await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.split("\r\n").filter(|line| !line.starts_with("host: ")).collect();
    lines[1..].sort_unstable();
    assert_eq!(
        (lines.as_slice(), body),
        (
            [
                "POST /webhook/kulta?kind=rollout HTTP/1.1",
                "accept: */*",
                "ce-id: 271069a8-fc18-44f1-b38f-9d70a1695819",
                "ce-subject: shop/a%20b",
                "content-length: 14",
                "content-type: application/json",
                concat!("user-agent: kulta/", env!("CARGO_PKG_VERSION")),
            ]
            .as_slice(),
            BODY
        )
    );
}

#[tokio::test]
async fn a_success_status_is_an_accepted_event() {
    for status in [200, 201, 202, 204] {
        assert_eq!(answer(status, &[]).await, Delivery::Accepted, "{status}");
    }
}

#[tokio::test]
async fn a_sink_that_is_gone_accepts_no_more_events() {
    assert_eq!(answer(410, &[]).await, Delivery::Gone);
}

#[tokio::test]
async fn a_permanently_rejected_event_is_reported_with_the_sinks_message() {
    for status in [400, 413, 415, 422] {
        assert_eq!(
            answer(status, &[]).await,
            Delivery::Refused { why: format!("HTTP {status}: what the sink says") },
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_wrongly_configured_sink_is_retried_because_a_user_can_fix_it() {
    for status in [401, 403, 404, 405, 407] {
        let why = format!("HTTP {status}: what the sink says");
        assert_eq!(answer(status, &[]).await, Delivery::Retry { after: None, why }, "{status}");
    }
}

#[tokio::test]
async fn a_failing_sink_is_retried() {
    for status in [408, 429, 500, 502, 503, 504] {
        let why = format!("HTTP {status}: what the sink says");
        assert_eq!(answer(status, &[]).await, Delivery::Retry { after: None, why }, "{status}");
    }
}

#[tokio::test]
async fn a_sinks_retry_after_is_respected() {
    for status in [429, 503] {
        let delivery = answer(status, &[("retry-after", "7")]).await;

        assert!(
            matches!(delivery, Delivery::Retry { after: Some(after), .. } if after == Duration::from_secs(7)),
            "{status}: {delivery:?}"
        );
    }
}

#[tokio::test]
async fn a_retry_date_is_relative_to_the_sinks_own_clock() {
    let delivery =
        answer(503, &[("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")])
            .await;

    assert!(
        matches!(delivery, Delivery::Retry { after: Some(after), .. } if after == Duration::from_secs(30)),
        "{delivery:?}"
    );
}

#[tokio::test]
async fn a_sink_cannot_silence_the_events_for_a_day() {
    let delivery = answer(503, &[("retry-after", "86400")]).await;

    assert!(
        matches!(delivery, Delivery::Retry { after: Some(after), .. } if after == LONGEST_RETRY_AFTER),
        "{delivery:?}"
    );
}

#[tokio::test]
async fn an_invalid_retry_after_is_ignored() {
    for value in ["soon", "-1", "", "Sun, 99 Nov 1994 08:49:37 GMT"] {
        let (url, _received) =
            wire(&format!("HTTP/1.1 503 Busy\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n"), BODY.len()).await;

        let delivery = sink(&url).deliver(&event()).await;

        assert!(matches!(delivery, Delivery::Retry { after: None, .. }), "{value:?}: {delivery:?}");
    }
}

#[tokio::test]
async fn a_slow_sink_is_retried_after_its_timeout() {
    let server = Server::slow(200, &[], "", Duration::from_secs(30)).await;
    let started = Instant::now();

    let delivery = sink(&server.url).deliver(&event()).await;

    assert!(matches!(&delivery, Delivery::Retry { after: None, why } if why.contains("timed out")), "{delivery:?}");
    assert!(started.elapsed() < TIMEOUT * 4, "{:?}", started.elapsed());
}

#[tokio::test]
async fn an_unreachable_sink_is_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);

    let delivery = sink(&url).deliver(&event()).await;

    assert!(matches!(&delivery, Delivery::Retry { after: None, why } if why.contains("refused")), "{delivery:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Server::answering(200, &[], "").await;
    let response = format!("HTTP/1.1 307 Elsewhere\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", target.url);
    let (url, _received) = wire(&response, BODY.len()).await;

    let delivery = sink(&url).deliver(&event()).await;

    assert!(matches!(&delivery, Delivery::Retry { after: None, why } if why.contains("307")), "{delivery:?}");
    assert_eq!(target.peers(), []);
}

#[tokio::test]
async fn events_share_one_connection() {
    let server = Server::answering(200, &[], "thanks").await;
    let sink = sink(&server.url);

    for _ in 0..3 {
        sink.deliver(&event()).await;
    }

    let peers = server.peers();
    assert_eq!((peers.len(), peers.iter().collect::<std::collections::BTreeSet<_>>().len()), (3, 1));
}

#[tokio::test]
async fn an_endless_answer_is_cut_and_its_status_counts() {
    const ENDLESS: &str = "HTTP/1.1 400 Bad\r\ncontent-length: 1000000000\r\n\r\nno such field";
    let (url, _received) = wire(ENDLESS, BODY.len()).await;

    let delivery = sink(&url).deliver(&event()).await;

    assert_eq!(delivery, Delivery::Refused { why: "HTTP 400: no such field".into() });
}

#[tokio::test]
async fn an_answer_in_parts_is_read_to_its_end() {
    let (url, _received) = wire("HTTP/1.1 400 Bad\r\ncontent-length: 13\r\n\r\nno such| field", BODY.len()).await;

    let delivery = sink(&url).deliver(&event()).await;

    assert_eq!(delivery, Delivery::Refused { why: "HTTP 400: no such field".into() });
}

#[tokio::test]
async fn only_the_beginning_of_a_long_answer_is_kept() {
    let long: &'static str = Box::leak("x".repeat(1_000_000).into_boxed_str());
    let server = Server::answering(400, &[], long).await;

    let delivery = sink(&server.url).deliver(&event()).await;

    let Delivery::Refused { why } = delivery else { panic!("{delivery:?}") };
    assert!(why.len() < 400, "{} bytes", why.len());
}

#[tokio::test]
async fn an_event_with_an_invalid_header_is_rejected() {
    let server = Server::answering(200, &[], "").await;
    let event = CdEventHttp { headers: vec![("ce-subject".into(), "a\r\nb: c".into())], ..event() };

    let delivery = sink(&server.url).deliver(&event).await;

    assert!(matches!(&delivery, Delivery::Refused { why } if why.contains("ce-subject")), "{delivery:?}");
    assert_eq!(server.peers(), []);
}

#[tokio::test]
async fn failures_contain_no_secrets_of_the_sink() {
    let delivery = sink("http://user:hunter2@127.0.0.1:1/?token=hunter3").deliver(&event()).await;

    let Delivery::Retry { why, .. } = delivery else { panic!("{delivery:?}") };
    assert!(!why.contains("hunter"), "{why}");
}

#[test]
fn a_url_that_is_not_http_is_rejected_with_the_reason() {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let cases = [
        ("", "is not a URL"),
        ("events.example/webhook", "is not a URL"),
        ("ftp://events.example/", "scheme \"ftp\""),
        ("file:///etc/passwd", "scheme \"file\""),
        ("http://", "is not a URL"),
    ];

    for (url, expected) in cases {
        let error =
            Sink::new(SinkConfig { url: url.into(), timeout: TIMEOUT, proxies: Proxies::default() }).err().unwrap();

        assert!(matches!(error, SinkError::Url { .. } | SinkError::Scheme { .. }), "{url}: {error:?}");
        assert!(error.to_string().contains(expected), "{url}: {error}");
    }
}

#[test]
fn a_timeout_of_zero_is_rejected() {
    let _installed = rustls::crypto::ring::default_provider().install_default();

    let error = Sink::new(SinkConfig {
        url: "http://events.example/".into(),
        timeout: Duration::ZERO,
        proxies: Proxies::default(),
    })
    .err()
    .unwrap();

    assert!(matches!(error, SinkError::Timeout), "{error:?}");
}

#[tokio::test]
async fn an_event_goes_through_the_proxy() {
    let server = Server::answering(204, &[], "").await;
    let target = server.url.trim_start_matches("http://").trim_end_matches("/events").parse().unwrap();
    let proxy = ProxyServer::start(target).await;
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let proxies = Proxies::new(Some(&proxy.address.to_string()), None, "").unwrap();
    let config = SinkConfig { url: "http://events.invalid/in".to_owned(), timeout: TIMEOUT, proxies };

    let delivery = Sink::new(config).unwrap().deliver(&event()).await;

    assert_eq!(delivery, Delivery::Accepted);
    assert_eq!(proxy.request_lines(), ["post http://events.invalid/in http/1.1"]);
}
