use kulta_fetch::{Auth, Basic, Failure, Request, Secrets, Settings};

use crate::server::{Server, fetch, fetcher, get, ok, redirect, settings, text};

/// A server that redirects every request to the same path of `target`.
async fn sending_to(status: u16, target: &Server) -> Server {
    let target = target.url.clone();
    Server::start(move |request| redirect(status, format!("{target}{}", request.uri))).await
}

fn with_credentials(url: impl Into<String>) -> Request {
    Request {
        headers: vec![
            ("x-api-key".into(), "key".into()),
            ("cookie".into(), "a=b".into()),
            ("accept".into(), "application/json".into()),
        ],
        auth: Auth::Basic(Basic { username: "me".into(), password: "passw0rd".into() }),
        ..get(url)
    }
}

#[tokio::test]
async fn a_redirect_is_followed_to_the_last_answer() {
    let target = Server::start(|_| ok("there")).await;

    for status in [301, 302, 303, 307, 308] {
        let server = sending_to(status, &target).await;

        let response = fetch(settings(), get(format!("{}/api", server.url))).await.unwrap();

        assert_eq!((response.status, text(&response).as_str()), (200, "there"), "{status}");
    }
}

#[tokio::test]
async fn credentials_are_not_sent_to_another_origin() {
    let target = Server::start(|_| ok("")).await;
    let server = sending_to(302, &target).await;

    fetch(settings(), with_credentials(&server.url)).await.unwrap();

    assert!(server.last().header("authorization").is_some());
    let received = target.last();
    let sent = ["authorization", "cookie", "x-api-key", "referer", "accept"].map(|name| received.header(name));
    assert_eq!(sent, [None, None, None, None, Some("application/json")]);
}

#[tokio::test]
async fn credentials_are_sent_on_within_an_origin() {
    let server = Server::start(|request| if request.uri == "/a" { redirect(302, "/b") } else { ok("") }).await;

    fetch(settings(), with_credentials(format!("{}/a", server.url))).await.unwrap();

    let received = server.last();
    assert_eq!(received.uri, "/b");
    assert_eq!(
        (received.header("authorization"), received.header("x-api-key")),
        (Some("Basic bWU6cGFzc3cwcmQ="), Some("key"))
    );
}

#[tokio::test]
async fn credentials_are_not_sent_after_a_redirect_through_another_origin() {
    let away = Server::start(|request| if request.uri == "/a" { redirect(302, "/b") } else { ok("") }).await;
    let first = sending_to(302, &away).await;

    fetch(settings(), with_credentials(format!("{}/a", first.url))).await.unwrap();

    let received = away.last();
    assert_eq!((received.uri.as_str(), received.header("authorization")), ("/b", None));
}

#[tokio::test]
async fn a_user_in_the_url_of_a_redirect_is_ignored() {
    let target = Server::start(|_| ok("")).await;
    let location = target.url.replace("http://", "http://me:passw0rd@");
    let server = Server::start(move |_| redirect(302, location.clone())).await;

    fetch(settings(), get(&server.url)).await.unwrap();

    assert_eq!(target.last().header("authorization"), None);
}

#[tokio::test]
async fn each_hop_is_checked() {
    let cases = ["http://169.254.169.254/", "http://[fe80::1]/", "file:///etc/passwd", "gopher://x/"];

    for location in cases {
        let server = Server::start(move |_| redirect(302, location)).await;

        let failure = fetch(settings(), get(&server.url)).await.unwrap_err();

        assert!(matches!(failure, Failure::Denied(_)), "{location}: {failure:?}");
    }
}

#[tokio::test]
async fn a_hop_outside_the_prefixes_is_denied() {
    let target = Server::start(|_| ok("")).await;
    let server = sending_to(302, &target).await;
    let prefixes = vec![server.url.parse().unwrap()];

    let failure = fetch(Settings { prefixes, ..settings() }, get(&server.url)).await.unwrap_err();

    assert!(matches!(failure, Failure::Denied(_)), "{failure:?}");
    assert!(target.received().is_empty());
}

#[tokio::test]
async fn redirects_end_at_their_limit() {
    let server = Server::start(|request| {
        let hops: usize = request.uri.trim_start_matches('/').parse().unwrap();
        if hops == 0 { ok("end") } else { redirect(302, format!("/{}", hops - 1)) }
    })
    .await;
    let two = || Settings { redirects: 2, ..settings() };

    let within = fetch(two(), get(format!("{}/2", server.url))).await;
    let beyond = fetch(two(), get(format!("{}/3", server.url))).await.unwrap_err();

    assert!(within.is_ok(), "{within:?}");
    assert!(matches!(&beyond, Failure::Failed(why) if why.contains("more than 2 redirects")), "{beyond:?}");
}

#[tokio::test]
async fn a_redirect_to_an_invalid_url_is_a_failure() {
    for location in ["http://", "http://[::1"] {
        let server = Server::start(move |_| redirect(302, location)).await;

        let failure = fetch(settings(), get(&server.url)).await.unwrap_err();

        assert!(matches!(failure, Failure::Failed(_)), "{location}: {failure:?}");
    }
}

#[tokio::test]
async fn a_redirect_status_without_a_target_is_the_answer() {
    for (status, location) in [(304, Some("/")), (300, Some("/")), (200, Some("/")), (302, None)] {
        let server = Server::start(move |_| {
            location.map_or_else(
                || crate::server::Answer { status, ..Default::default() },
                |location| redirect(status, location),
            )
        })
        .await;

        let response = fetch(settings(), get(&server.url)).await.unwrap();

        assert_eq!((response.status, server.received().len()), (status, 1), "{location:?}");
    }
}

async fn post_over(status: u16, body: &str, secrets: &Secrets) -> (Result<(), Failure>, Server) {
    let target = Server::start(|_| ok("")).await;
    let server = sending_to(status, &target).await;
    let request = Request { method: "POST".into(), body: body.to_owned().into(), ..get(&server.url) };
    (fetcher(settings()).fetch(request, secrets).await.map(drop), target)
}

#[tokio::test]
async fn a_post_becomes_a_get_by_the_rules_of_browsers() {
    for (status, method, body) in
        [(301, "GET", ""), (302, "GET", ""), (303, "GET", ""), (307, "POST", "q"), (308, "POST", "q")]
    {
        let (_, target) = post_over(status, "q", &Secrets::new()).await;

        let received = target.last();
        assert_eq!((received.method.as_str(), received.body.as_str()), (method, body), "{status}");
    }
}

#[tokio::test]
async fn a_secret_in_the_body_is_not_sent_to_another_origin() {
    let mut secrets = Secrets::new();
    let body = secrets.add("hunter2").unwrap();

    let (answer, target) = post_over(307, &body, &secrets).await;

    assert!(matches!(answer, Err(Failure::Denied(_))), "{answer:?}");
    assert!(target.received().is_empty());
}
