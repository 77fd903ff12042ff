use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use kulta_fetch::{Failure, Fetcher, Request, Secrets};

use crate::server::{Answer, Server, fetcher, get, ok, settings, text};

const DELAY: Duration = Duration::from_millis(100);

async fn slow() -> Server {
    Server::start(|request| Answer { delay: DELAY, ..ok(request.header("x-key").unwrap_or("none")) }).await
}

async fn all(fetcher: &Fetcher, requests: Vec<(Request, Secrets)>) -> Vec<Result<String, Failure>> {
    let fetched = requests.iter().map(|(request, secrets)| fetcher.fetch(request.clone(), secrets));
    join_all(fetched).await.into_iter().map(|answer| answer.map(|response| text(&response))).collect()
}

#[tokio::test]
async fn concurrent_equal_queries_are_sent_once_and_all_get_the_answer() {
    let server = slow().await;
    let fetcher = fetcher(settings());

    let answers = all(&fetcher, vec![(get(&server.url), Secrets::new()); 500]).await;

    assert_eq!(answers, vec![Ok("none".to_owned()); 500]);
    assert_eq!(server.received().len(), 1);
    let counters = fetcher.counters();
    assert_eq!((counters.sent.load(Ordering::Relaxed), counters.shared.load(Ordering::Relaxed)), (1, 499));
}

#[tokio::test]
async fn concurrent_equal_forms_are_sent_once() {
    let server = slow().await;
    let form = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    let post = Request { method: "POST".into(), headers: vec![form], body: "query=up".into(), ..get(&server.url) };

    all(&fetcher(settings()), vec![(post, Secrets::new()); 3]).await;

    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn requests_that_may_change_something_are_each_sent() {
    let server = slow().await;
    let post = Request { method: "POST".into(), body: "{}".into(), ..get(&server.url) };

    all(&fetcher(settings()), vec![(post, Secrets::new()); 3]).await;

    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn a_query_is_sent_again_after_its_answer() {
    let server = slow().await;
    let fetcher = fetcher(settings());

    for _ in 0..2 {
        fetcher.fetch(get(&server.url), &Secrets::new()).await.unwrap();
    }

    assert_eq!(server.received().len(), 2);
}

fn with_key(url: &str, value: &str) -> (Request, Secrets) {
    let mut secrets = Secrets::new();
    let key = secrets.add(value).unwrap();
    (Request { headers: vec![("x-key".into(), key)], ..get(url) }, secrets)
}

#[tokio::test]
async fn queries_are_compared_by_the_values_of_their_secrets() {
    let server = slow().await;
    let requests = ["first-key", "first-key", "other-key"].map(|value| with_key(&server.url, value)).to_vec();

    let answers = all(&fetcher(settings()), requests).await;

    // Each answer is redacted with its caller's own secrets.
    assert_eq!(answers, vec![Ok("***".to_owned()); 3]);
    let mut keys: Vec<_> = server.received().iter().map(|it| it.header("x-key").unwrap().to_owned()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["first-key", "other-key"]);
}

#[tokio::test]
async fn a_caller_with_a_longer_timeout_gets_the_answer_that_another_has_stopped_waiting_for() {
    let server = slow().await;
    let hasty = Request { timeout: DELAY / 4, ..get(&server.url) };

    let answers = all(&fetcher(settings()), vec![(hasty, Secrets::new()), (get(&server.url), Secrets::new())]).await;

    assert_eq!(answers, [Err(Failure::Timeout), Ok("none".into())]);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_failure_is_shared_too() {
    let fetcher = fetcher(settings());

    let answers = all(&fetcher, vec![(get("http://127.0.0.1:1/"), Secrets::new()); 3]).await;

    assert!(answers.iter().all(|answer| matches!(answer, Err(Failure::Failed(_)))), "{answers:?}");
    assert_eq!(fetcher.counters().sent.load(Ordering::Relaxed), 1);
}
