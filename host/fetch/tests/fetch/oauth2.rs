use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use kulta_fetch::{Auth, Failure, OAuth2, Request, Secrets, Settings};

use crate::server::{Answer, Server, fetch, fetcher, get, ok, settings, text};

/// Issues the tokens `token-1`, `token-2`, … with a lifetime of `life` seconds.
async fn tokens(life: u64) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let body = format!(r#"{{"access_token":"token-{number}","token_type":"Bearer","expires_in":{life}}}"#);
        Answer { delay: Duration::from_millis(50), ..ok(body) }
    })
    .await
}

fn grant(server: &Server) -> OAuth2 {
    OAuth2 {
        token_url: format!("{}/token", server.url),
        client_id: "kulta".into(),
        client_secret: "s3cret/+".into(),
        scopes: vec!["read".into(), "metrics".into()],
        parameters: vec![("audience".into(), "prometheus".into())],
    }
}

fn asking(server: &Server, path: &str, tokens: &Server) -> Request {
    Request { auth: Auth::OAuth2(grant(tokens)), ..get(format!("{}/{path}", server.url)) }
}

fn bearers(server: &Server) -> Vec<String> {
    server.received().iter().map(|it| it.header("authorization").unwrap_or("none").to_owned()).collect()
}

#[tokio::test]
async fn a_token_is_fetched_with_the_clients_credentials_and_sent() {
    let (server, tokens) = (Server::start(|_| ok("up")).await, tokens(3600).await);

    let response = fetch(settings(), asking(&server, "", &tokens)).await.unwrap();

    assert_eq!((text(&response).as_str(), bearers(&server)), ("up", vec!["Bearer token-1".to_owned()]));
    let asked = tokens.last();
    assert_eq!((asked.method.as_str(), asked.uri.as_str()), ("POST", "/token"));
    assert_eq!(asked.body, "grant_type=client_credentials&scope=read+metrics&audience=prometheus");
    // kulta:s3cret%2F%2B
    assert_eq!(asked.header("authorization"), Some("Basic a3VsdGE6czNjcmV0JTJGJTJC"));
}

#[tokio::test]
async fn a_token_is_cached_for_its_lifetime() {
    let (server, tokens) = (Server::start(|_| ok("")).await, tokens(3600).await);
    let fetcher = fetcher(settings());

    for path in ["a", "b", "c"] {
        fetcher.fetch(asking(&server, path, &tokens), &Secrets::new()).await.unwrap();
    }

    assert_eq!((tokens.received().len(), bearers(&server)), (1, vec!["Bearer token-1".to_owned(); 3]));
}

#[tokio::test]
async fn a_token_is_fetched_again_before_it_expires() {
    let (server, tokens) = (Server::start(|_| ok("")).await, tokens(1).await);
    let fetcher = fetcher(settings());

    fetcher.fetch(asking(&server, "a", &tokens), &Secrets::new()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    fetcher.fetch(asking(&server, "b", &tokens), &Secrets::new()).await.unwrap();

    assert_eq!(bearers(&server), ["Bearer token-1", "Bearer token-2"]);
}

#[tokio::test]
async fn concurrent_requests_wait_for_one_fetch_of_a_token() {
    let (server, tokens) = (Server::start(|_| ok("")).await, tokens(3600).await);
    let (fetcher, secrets) = (fetcher(Settings { in_flight: 4, ..settings() }), Secrets::new());

    let paths: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let answers = join_all(paths.iter().map(|path| fetcher.fetch(asking(&server, path, &tokens), &secrets))).await;

    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!((tokens.received().len(), server.received().len()), (1, 20));
}

#[tokio::test]
async fn other_credentials_get_another_token() {
    let (server, tokens) = (Server::start(|_| ok("")).await, tokens(3600).await);
    let fetcher = fetcher(settings());
    let other = OAuth2 { client_secret: "other".into(), ..grant(&tokens) };

    fetcher.fetch(asking(&server, "", &tokens), &Secrets::new()).await.unwrap();
    fetcher.fetch(Request { auth: Auth::OAuth2(other), ..get(&server.url) }, &Secrets::new()).await.unwrap();

    assert_eq!(bearers(&server), ["Bearer token-1", "Bearer token-2"]);
}

/// A server that accepts any token but the first.
async fn refusing_the_first() -> Server {
    Server::start(|request| match request.header("authorization") {
        Some("Bearer token-1") if request.uri != "/early" => Answer { status: 401, ..Answer::default() },
        _ => ok("in"),
    })
    .await
}

#[tokio::test]
async fn a_cached_token_that_is_rejected_is_dropped_and_the_request_sent_again() {
    let (server, tokens) = (refusing_the_first().await, tokens(3600).await);
    let fetcher = fetcher(settings());
    fetcher.fetch(asking(&server, "early", &tokens), &Secrets::new()).await.unwrap();

    let response = fetcher.fetch(asking(&server, "late", &tokens), &Secrets::new()).await.unwrap();

    assert_eq!((response.status, text(&response).as_str()), (200, "in"));
    assert_eq!(bearers(&server), ["Bearer token-1", "Bearer token-1", "Bearer token-2"]);
}

#[tokio::test]
async fn a_server_that_rejects_every_token_gets_at_most_two_requests() {
    let server = Server::start(|_| Answer { status: 401, ..Answer::default() }).await;
    let tokens = tokens(3600).await;
    let fetcher = fetcher(settings());

    let first = fetcher.fetch(asking(&server, "", &tokens), &Secrets::new()).await.unwrap();
    let asked_first = server.received().len();
    let second = fetcher.fetch(asking(&server, "", &tokens), &Secrets::new()).await.unwrap();

    assert_eq!((first.status, second.status, asked_first, server.received().len()), (401, 401, 1, 3));
}

#[tokio::test]
async fn a_token_endpoint_that_reads_only_the_body_is_supported() {
    let server = Server::start(|_| ok("")).await;
    let tokens = Server::start(|request| {
        if request.body.contains("client_secret=s3cret%2F%2B") && request.header("authorization").is_none() {
            ok(r#"{"access_token":"from-the-body"}"#)
        } else {
            Answer { status: 401, ..ok(r#"{"error":"invalid_client"}"#) }
        }
    })
    .await;

    fetch(settings(), asking(&server, "", &tokens)).await.unwrap();

    assert_eq!(bearers(&server), ["Bearer from-the-body"]);
}

#[tokio::test]
async fn a_missing_token_is_a_failure_with_the_reason() {
    let server = Server::start(|_| ok("")).await;
    let tokens = Server::start(|_| Answer { status: 403, ..ok(r#"{"error":"access_denied"}"#) }).await;

    let failure = fetch(settings(), asking(&server, "", &tokens)).await.unwrap_err();

    assert!(matches!(&failure, Failure::Failed(why) if why.contains("HTTP 403: access_denied")), "{failure:?}");
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn the_token_endpoint_has_the_same_restrictions() {
    let (server, tokens) = (Server::start(|_| ok("")).await, tokens(3600).await);
    let prefixes = vec![server.url.parse().unwrap()];
    let metadata = OAuth2 { token_url: "http://169.254.169.254/token".into(), ..grant(&tokens) };

    let outside = fetch(Settings { prefixes, ..settings() }, asking(&server, "", &tokens)).await;
    let forbidden = fetch(settings(), Request { auth: Auth::OAuth2(metadata), ..get(&server.url) }).await;

    assert!(matches!(outside, Err(Failure::Denied(_))), "{outside:?}");
    assert!(matches!(forbidden, Err(Failure::Denied(_))), "{forbidden:?}");
    assert!(tokens.received().is_empty());
}

#[tokio::test]
async fn no_token_is_fetched_for_a_denied_request() {
    let tokens = tokens(3600).await;
    let request = Request { auth: Auth::OAuth2(grant(&tokens)), ..get("http://169.254.169.254/") };

    let failure = fetch(settings(), request).await.unwrap_err();

    assert!(matches!(failure, Failure::Denied(_)), "{failure:?}");
    assert!(tokens.received().is_empty());
}

#[tokio::test]
async fn a_server_that_echoes_the_token_does_not_disclose_it_to_the_plugin() {
    let server = Server::start(|request| ok(request.header("authorization").unwrap())).await;
    let tokens = tokens(3600).await;

    let response = fetch(settings(), asking(&server, "", &tokens)).await.unwrap();

    assert_eq!(text(&response), "Bearer ***");
}

#[tokio::test]
async fn the_clients_secret_may_be_a_placeholder_and_is_in_no_failure() {
    let server = Server::start(|_| ok("")).await;
    let tokens =
        Server::start(|request| Answer { status: 400, ..ok(format!(r#"{{"error":"{}"}}"#, request.body)) }).await;
    let mut secrets = Secrets::new();
    let client_secret = secrets.add("hunter/2").unwrap();
    let request = Request { auth: Auth::OAuth2(OAuth2 { client_secret, ..grant(&tokens) }), ..get(&server.url) };

    let failure = fetcher(settings()).fetch(request, &secrets).await.unwrap_err();

    assert!(tokens.last().body.contains("client_secret=hunter%2F2"), "{:?}", tokens.last());
    assert!(failure.to_string().contains("client_secret=***"), "{failure}");
}
