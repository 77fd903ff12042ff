use std::path::Path;

use kulta_fetch::{Auth, Basic, Failure, Fetcher, FetcherError, Request, Secrets, TapeError};

use crate::server::{Answer, Server, file, get, install_tls, ok, settings, text};

fn recording(path: &Path) -> Fetcher {
    install_tls();
    Fetcher::recording(settings(), path).unwrap()
}

#[tokio::test]
async fn a_recording_is_replayed_without_the_network() {
    let path = file("tape-story");
    let server =
        Server::start(|request| Answer { status: 201, headers: vec![("x-a", "b".into())], ..ok(&*request.uri) }).await;
    let (url, gone) = (format!("{}/metric", server.url), get("http://127.0.0.1:1/"));
    let recorder = recording(&path);
    let live = recorder.fetch(get(&url), &Secrets::new()).await;
    let failed = recorder.fetch(gone.clone(), &Secrets::new()).await;

    let replay = Fetcher::replaying(&path).unwrap();
    let replayed = replay.fetch(get(&url), &Secrets::new()).await;
    let failed_again = replay.fetch(gone, &Secrets::new()).await;

    assert_eq!(text(live.as_ref().unwrap()), "/metric");
    assert_eq!((replayed, failed_again), (live, failed));
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn answers_to_the_same_request_are_in_order_and_the_last_one_repeats() {
    let path = file("tape-order");
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |_| ok(count.fetch_add(1, std::sync::atomic::Ordering::SeqCst).to_string())).await;
    let recorder = recording(&path);
    for _ in 0..2 {
        recorder.fetch(get(&server.url), &Secrets::new()).await.unwrap();
    }

    let replay = Fetcher::replaying(&path).unwrap();
    let mut answers = vec![];
    for _ in 0..3 {
        answers.push(text(&replay.fetch(get(&server.url), &Secrets::new()).await.unwrap()));
    }

    assert_eq!(answers, ["0", "1", "1"]);
}

fn secret_request(url: &str) -> (Request, Secrets) {
    let mut secrets = Secrets::new();
    let key = secrets.add("hunter/2").unwrap();
    let request = Request {
        method: "POST".into(),
        headers: vec![("x-key".into(), key.clone()), ("Authorization".into(), "Bearer plain-text".into())],
        body: format!("{{\"key\":\"{key}\"}}").into(),
        auth: Auth::Basic(Basic { username: "me".into(), password: "plain-password".into() }),
        ..get(format!("{url}/?key={key}"))
    };
    (request, secrets)
}

#[tokio::test]
async fn a_recording_contains_no_secret() {
    let path = file("tape-secrets");
    let server = Server::start(|request| ok(format!("{request:?}"))).await;
    let (request, secrets) = secret_request(&server.url.replace("http://", "http://user:plain-user@"));

    recording(&path).fetch(request, &secrets).await.unwrap();

    let tape = std::fs::read_to_string(&path).unwrap();
    for secret in ["hunter", "kulta-secret-", "plain-text", "plain-password", "plain-user"] {
        let request = tape.split("\"response\"").next().unwrap();
        assert!(!request.contains(secret), "{secret}: {request}");
    }
    assert!(!tape.contains("hunter") && tape.contains("x-key"), "{tape}");
}

#[tokio::test]
async fn a_request_with_secrets_is_found_with_other_placeholders() {
    let path = file("tape-placeholders");
    let server = Server::start(|_| ok("found")).await;
    let (request, secrets) = secret_request(&server.url);
    recording(&path).fetch(request, &secrets).await.unwrap();

    let (again, secrets) = secret_request(&server.url);
    let answer = Fetcher::replaying(&path).unwrap().fetch(again, &secrets).await.unwrap();

    assert_eq!(text(&answer), "found");
}

#[tokio::test]
async fn a_request_that_was_not_recorded_is_a_failure_that_names_it_without_secrets() {
    let path = file("tape-unknown");
    std::fs::write(&path, "").unwrap();
    let (request, secrets) = secret_request("http://metrics.example");

    let failure = Fetcher::replaying(&path).unwrap().fetch(request, &secrets).await.unwrap_err();

    let Failure::Failed(why) = failure else { panic!("{failure:?}") };
    assert!(why.ends_with(r#"has no answer to POST http://metrics.example/?key=*** {"key":"***"}"#), "{why}");
}

#[tokio::test]
async fn a_binary_body_is_replayed_unchanged() {
    let path = file("tape-binary");
    let url = crate::server::raw(|mut stream| async move {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\xff\x00\xfe";
        tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
    })
    .await;
    recording(&path).fetch(get(&url), &Secrets::new()).await.unwrap();

    let answer = Fetcher::replaying(&path).unwrap().fetch(get(&url), &Secrets::new()).await.unwrap();

    assert_eq!(answer.body.as_ref(), b"\xff\x00\xfe");
}

#[tokio::test]
async fn a_recording_is_appended_to() {
    let path = file("tape-append");
    let server = Server::start(|_| ok("")).await;

    for _ in 0..2 {
        recording(&path).fetch(get(&server.url), &Secrets::new()).await.unwrap();
    }

    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
}

#[test]
fn a_damaged_recording_is_reported_with_the_line() {
    let path = file("tape-damaged");
    let request = r#""request":{"method":"GET","url":"http://a/","headers":[],"body":{"text":""},"auth":"none","skip_tls_verify":false}"#;
    let lines = [
        format!("{{{request},\"timeout\":null}}\nno json"),
        format!(
            "{{{request},\"timeout\":null}}\n{{{request},\"response\":{{\"status\":200,\"headers\":[],\"body\":{{\"base64\":\"?\"}}}}}}"
        ),
        format!("{{{request},\"timeout\":null}}\n{{{request}}}"),
    ];

    for content in lines {
        std::fs::write(&path, &content).unwrap();

        let error = Fetcher::replaying(&path).err().unwrap();

        assert!(matches!(error, FetcherError::Tape(TapeError::Line { line: 2, .. })), "{content}: {error:?}");
    }
}

#[test]
fn a_missing_recording_is_named() {
    let error = Fetcher::replaying(Path::new("/nowhere/tape")).err().unwrap().to_string();

    assert!(error.contains("/nowhere/tape"), "{error}");
}
