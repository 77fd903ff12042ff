use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use kulta_fetch::{Auth, Basic, Failure, Request, Secrets};

use crate::server::{Answer, Server, fetch, fetcher, get, ok, settings, text};

#[tokio::test]
async fn an_answer_has_its_status_headers_and_body() {
    let server = Server::start(|_| Answer {
        status: 503,
        headers: vec![("retry-after", "7".into())],
        body: "busy".into(),
        ..Answer::default()
    })
    .await;

    let response = fetch(settings(), get(&server.url)).await.unwrap();

    assert_eq!((response.status, text(&response).as_str()), (503, "busy"));
    assert!(response.headers.contains(&("retry-after".into(), "7".into())), "{:?}", response.headers);
}

#[tokio::test]
async fn a_request_is_sent_unchanged() {
    let server = Server::start(|_| ok("")).await;
    let request = Request {
        method: "POST".into(),
        headers: vec![("x-scope-orgid".into(), "shop".into()), ("content-type".into(), "text/plain".into())],
        body: "up == 1".into(),
        ..get(format!("{}/api/v1/query?time=1", server.url))
    };

    fetch(settings(), request).await.unwrap();

    let received = server.last();
    assert_eq!(
        (received.method.as_str(), received.uri.as_str(), received.body.as_str()),
        ("POST", "/api/v1/query?time=1", "up == 1")
    );
    assert_eq!((received.header("x-scope-orgid"), received.header("content-type")), (Some("shop"), Some("text/plain")));
}

#[tokio::test]
async fn secrets_replace_placeholders_everywhere() {
    let server = Server::start(|_| ok("")).await;
    let mut secrets = Secrets::new();
    let (path, query, header) =
        (secrets.add("T/123").unwrap(), secrets.add("a&b").unwrap(), secrets.add("key-1").unwrap());
    let (body, user) = (secrets.add("say \"hi\"").unwrap(), secrets.add("pass word").unwrap());
    let request = Request {
        method: "POST".into(),
        headers: vec![("x-api-key".into(), format!("Key {header}"))],
        body: format!("{{\"text\":\"{body}\"}}").into(),
        auth: Auth::Basic(Basic { username: "me".into(), password: user }),
        ..get(format!("{}/{path}?q={query}", server.url))
    };

    fetcher(settings()).fetch(request, &secrets).await.unwrap();

    let received = server.last();
    assert_eq!(received.uri, "/T/123?q=a%26b");
    assert_eq!(received.header("x-api-key"), Some("Key key-1"));
    assert_eq!(received.body, r#"{"text":"say \"hi\""}"#);
    assert_eq!(received.header("authorization"), Some("Basic bWU6cGFzcyB3b3Jk"));
}

#[tokio::test]
async fn a_server_that_echoes_the_request_discloses_no_secret() {
    let server = Server::start(|request| Answer {
        headers: vec![("x-echo", request.header("x-api-key").unwrap().to_owned())],
        ..ok(format!("{request:?}"))
    })
    .await;
    let mut secrets = Secrets::new();
    let (key, password) = (secrets.add("hunter/2+\"x").unwrap(), secrets.add("passw0rd").unwrap());
    let request = Request {
        method: "POST".into(),
        headers: vec![("x-api-key".into(), key.clone())],
        body: format!("{{\"text\":\"{key}\"}}").into(),
        auth: Auth::Basic(Basic { username: "me".into(), password }),
        ..get(format!("{}/?q={key}", server.url))
    };

    let response = fetcher(settings()).fetch(request, &secrets).await.unwrap();

    let seen = format!("{:?} {}", response.headers, text(&response));
    assert!(server.last().uri.contains("hunter"), "{:?}", server.last());
    // The last one is the middle of base64 of `me:passw0rd`.
    for shown in ["hunter", "passw0rd", "Bhc3N3MHJk"] {
        assert!(!seen.contains(shown), "{shown}: {seen}");
    }
}

#[tokio::test]
async fn failures_contain_no_secrets() {
    let mut secrets = Secrets::new();
    let host = secrets.add("secret-host").unwrap();
    let url = secrets.add("http://127.0.0.1:1/secret-host/2?x=1").unwrap();
    let cases = [
        get(&url),
        get(format!("{url}&y=2")),
        get(format!("http://{host}.invalid/")),
        get(format!("ftp://{host}/")),
        get(format!("http://127.0.0.1:1/{host}")),
        get("http://me:secret-host@127.0.0.1:1/"),
        Request { method: "secret-host".into(), ..get("http://127.0.0.1/") },
    ];

    for request in cases {
        let failure = fetcher(settings()).fetch(request, &secrets).await.unwrap_err();

        assert!(!failure.to_string().contains("secret-host"), "{failure}");
    }
}

#[tokio::test]
async fn consecutive_requests_share_one_connection() {
    let server = Server::start(|_| ok("thanks")).await;
    let fetcher = fetcher(settings());

    for _ in 0..3 {
        fetcher.fetch(get(&server.url), &Secrets::new()).await.unwrap();
    }

    let peers: Vec<_> = server.received().iter().map(|received| received.peer).collect();
    assert_eq!((peers.len(), peers.iter().collect::<BTreeSet<_>>().len()), (3, 1));
}

#[tokio::test]
async fn results_of_requests_are_counted() {
    let server = Server::start(|_| ok("0123456789")).await;
    let fetcher = fetcher(kulta_fetch::Settings { body_limit: 10, ..settings() });
    let slow = crate::server::raw(|stream| async move {
        tokio::time::sleep(std::time::Duration::from_secs(30)).await;
        drop(stream);
    })
    .await;
    let larger = Server::start(|_| ok("0123456789+")).await;
    let timeout = std::time::Duration::from_millis(100);
    let requests = [
        get(&server.url),
        get("http://169.254.169.254/"),
        get("http://127.0.0.1:1/"),
        get(&larger.url),
        Request { timeout, ..get(slow) },
    ];

    for request in requests {
        let _counted = fetcher.fetch(request, &Secrets::new()).await;
    }

    let counters = fetcher.counters();
    let counts = [
        &counters.sent,
        &counters.shared,
        &counters.answered,
        &counters.denied,
        &counters.timed_out,
        &counters.too_large,
        &counters.failed,
    ]
    .map(|counter| counter.load(Ordering::Relaxed));
    assert_eq!(counts, [4, 0, 1, 1, 1, 1, 1]);
}

#[tokio::test]
async fn an_unreachable_server_is_named() {
    let failure = fetch(settings(), get("http://127.0.0.1:1/api?token=x")).await.unwrap_err();

    let Failure::Failed(why) = failure else { panic!("{failure:?}") };
    assert!(why.starts_with("http://127.0.0.1:1/api: ") && why.contains("refused"), "{why}");
}
