use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use kulta_core::plan::EventKind;
use serde_json::{Value, json};
use tower::service_fn;

use super::*;
use crate::clock::VirtualClock;
use crate::key::Key;
use crate::kinds::Kind;

/// An API server that takes a while for each event.
#[derive(Clone, Default)]
struct Server {
    /// Names of the events that it has taken.
    taken: Arc<Mutex<Vec<String>>>,
    /// Requests that it is at, and how many these were at most.
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Server {
    fn client(&self, delay: impl Fn(&str) -> Duration + Clone + Send + 'static) -> Client {
        let server = self.clone();
        let service = service_fn(move |request: http::Request<Body>| {
            let (server, delay) = (server.clone(), delay.clone());
            async move {
                server.most.fetch_max(server.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                let body = request.into_body().collect_bytes().await.unwrap();
                let event: Value = serde_json::from_slice(&body).unwrap();
                let name = event["metadata"]["name"].as_str().unwrap().to_owned();
                tokio::time::sleep(delay(&name)).await;
                server.taken.lock().unwrap().push(name);
                server.now.fetch_sub(1, Ordering::Relaxed);
                Ok::<_, Infallible>(http::Response::new(Body::from(event.to_string().into_bytes())))
            }
        });
        Client::new(service, "ns")
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

fn recorder(
    server: &Server,
    delay: impl Fn(&str) -> Duration + Clone + Send + 'static,
) -> (Arc<Recorder>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let cluster = Cluster::new(server.client(delay), Arc::clone(&metrics));
    let clock = Arc::new(VirtualClock::start(Timestamp::from_second(1_800_000_000).unwrap()));
    (Arc::new(Recorder::new(cluster, clock, Arc::clone(&metrics))), metrics)
}

fn rollout(name: &str) -> Regarding {
    Regarding { kind: Kind::Rollout, key: Key::new("ns", name), uid: format!("uid of {name}") }
}

fn event(name: &str) -> Message {
    Message { name: name.into(), kind: EventKind::Normal, reason: "RolloutPaused", message: "paused".into() }
}

/// How long it takes until all that is recorded is posted.
async fn post_all(recorder: &Recorder) -> Duration {
    let (began, stop) = (tokio::time::Instant::now(), CancellationToken::new());
    stop.cancel();
    recorder.run(stop).await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn several_events_are_posted_at_a_time() {
    let server = Server::default();
    let (recorder, _) = recorder(&server, |_| Duration::from_secs(1));
    for number in 0..POSTS_AT_A_TIME * 3 {
        recorder.record(&rollout(&format!("web-{number}")), event("1"));
    }

    let took = post_all(&recorder).await;

    assert_eq!((took, server.most.load(Ordering::Relaxed)), (Duration::from_secs(3), POSTS_AT_A_TIME));
}

#[tokio::test(start_paused = true)]
async fn events_of_one_object_keep_their_order() {
    let server = Server::default();
    let (recorder, _) = recorder(&server, |name| match name {
        "web.1" => Duration::from_millis(900),
        _ => Duration::from_millis(100),
    });
    for name in ["1", "2", "3"] {
        recorder.record(&rollout("web"), event(name));
    }

    post_all(&recorder).await;

    assert_eq!(server.taken(), ["web.1", "web.2", "web.3"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_not_taken_keeps_no_other_objects_event_waiting() {
    let server = Server::default();
    let (recorder, _) = recorder(&server, |name| match name {
        "stuck.1" => Duration::from_secs(3_600),
        _ => Duration::from_millis(100),
    });
    let (running, stop) = (Arc::clone(&recorder), CancellationToken::new());
    let run = tokio::spawn(async move { running.run(stop).await });
    recorder.record(&rollout("stuck"), event("1"));
    recorder.record(&rollout("web"), event("1"));

    tokio::time::sleep(Duration::from_millis(101)).await;

    assert_eq!(server.taken(), ["web.1"]);
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn the_events_of_a_fleets_upgrade_are_posted_within_seconds() {
    const FLEET: usize = 500;
    const EVENTS_OF_EACH: usize = 10;
    /// As long as a busy API server was seen to take.
    const BUSY: Duration = Duration::from_millis(25);
    let server = Server::default();
    let (recorder, _) = recorder(&server, |_| BUSY);
    let (running, stop) = (Arc::clone(&recorder), CancellationToken::new());
    let stopping = stop.clone();
    let run = tokio::spawn(async move { running.run(stopping).await });
    // Each rollout takes a minute from its first event to its last.
    for number in 0..EVENTS_OF_EACH {
        for name in 0..FLEET {
            recorder.record(&rollout(&format!("web-{name}")), event(&number.to_string()));
        }
        tokio::time::sleep(Duration::from_secs(6)).await;
    }

    stop.cancel();
    let ended = tokio::time::Instant::now();
    run.await.unwrap();

    assert_eq!((server.taken().len(), ended.elapsed()), (FLEET * EVENTS_OF_EACH, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_event_is_counted() {
    let server = Server::default();
    let (recorder, metrics) = recorder(&server, |_| Duration::ZERO);
    for number in 0..ROOM + 2 {
        recorder.record(&rollout("web"), event(&number.to_string()));
    }

    let text = metrics.text(0, &[]);

    assert!(text.contains(r#"kulta_kubernetes_events_dropped_total{type="Normal"} 2"#), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_when_the_controller_stops_is_posted() {
    let server = Server::default();
    let (recorder, _) = recorder(&server, |_| Duration::from_millis(100));
    for name in ["1", "2", "3"] {
        recorder.record(&rollout("web"), event(name));
    }

    post_all(&recorder).await;

    assert_eq!(server.taken(), ["web.1", "web.2", "web.3"]);
}

#[tokio::test(start_paused = true)]
async fn a_controller_stops_within_seconds_while_no_event_is_taken() {
    let server = Server::default();
    let (recorder, _) = recorder(&server, |_| Duration::from_secs(3_600));
    recorder.record(&rollout("web"), event("1"));

    assert_eq!(post_all(&recorder).await, LAST_WORDS);
}

#[tokio::test(start_paused = true)]
async fn an_event_after_the_stop_is_counted_as_dropped() {
    let server = Server::default();
    let (recorder, metrics) = recorder(&server, |_| Duration::ZERO);
    post_all(&recorder).await;

    recorder.record(&rollout("web"), event("1"));

    let text = metrics.text(0, &[]);
    assert!(text.contains(r#"kulta_kubernetes_events_dropped_total{type="Normal"} 1"#), "{text}");
}

/// An API server whose answers to the first requests are these HTTP statuses, 0 for none, and that takes every later event. Each request
/// is noted with the event's name.
fn failing_at_first(statuses: &[u16]) -> (Arc<Recorder>, Arc<Metrics>, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (noted, statuses) = (Arc::clone(&asked), Arc::new(Mutex::new(VecDeque::from(statuses.to_vec()))));
    let service = service_fn(move |request: http::Request<Body>| {
        let (noted, statuses) = (Arc::clone(&noted), Arc::clone(&statuses));
        async move {
            let event: Value =
                serde_json::from_slice(&request.into_body().collect_bytes().await.map_err(std::io::Error::other)?)?;
            noted.lock().unwrap().push(event["metadata"]["name"].as_str().unwrap().to_owned());
            let (status, body) = match statuses.lock().unwrap().pop_front() {
                Some(0) => return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
                Some(code) => (code, json!({ "kind": "Status", "status": "Failure", "code": code, "message": "no" })),
                None => (201, event),
            };
            let answer = http::Response::builder().status(status).body(Body::from(body.to_string().into_bytes()));
            Ok::<_, std::io::Error>(answer.unwrap())
        }
    });
    let metrics = Arc::new(Metrics::default());
    let cluster = Cluster::new(Client::new(service, "ns"), Arc::clone(&metrics));
    let clock = Arc::new(VirtualClock::start(Timestamp::from_second(1_800_000_000).unwrap()));
    (Arc::new(Recorder::new(cluster, clock, Arc::clone(&metrics))), metrics, asked)
}

/// Names of the events that were sent when all that is recorded is posted or given up.
async fn sent_with(statuses: &[u16]) -> (Vec<String>, Arc<Metrics>) {
    let (recorder, metrics, asked) = failing_at_first(statuses);
    let stop = CancellationToken::new();
    let (running, stopping) = (Arc::clone(&recorder), stop.clone());
    let run = tokio::spawn(async move { running.run(stopping).await });
    for name in ["1", "2"] {
        recorder.record(&rollout("web"), event(name));
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    stop.cancel();
    run.await.unwrap();
    let sent = asked.lock().unwrap().clone();
    (sent, metrics)
}

#[tokio::test(start_paused = true)]
async fn an_event_that_met_a_broken_connection_is_posted_again_before_the_next_one() {
    for trouble in [0, 500, 429] {
        let (sent, metrics) = sent_with(&[trouble]).await;

        assert_eq!(sent, ["web.1", "web.1", "web.2"], "{trouble}");
        let text = metrics.text(0, &[]);
        assert!(!text.contains("kulta_kubernetes_events_dropped_total{"), "{trouble}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_refused_is_not_posted_again() {
    for refusal in [403, 404, 409, 422] {
        let (sent, _) = sent_with(&[refusal]).await;

        assert_eq!(sent, ["web.1", "web.2"], "{refusal}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_meets_trouble_each_time_is_given_up_and_counted() {
    let (sent, metrics) = sent_with(&vec![0; usize::try_from(ATTEMPTS).unwrap()]).await;

    let expected = [vec!["web.1"; usize::try_from(ATTEMPTS).unwrap()], vec!["web.2"]].concat();
    assert_eq!(sent, expected);
    let text = metrics.text(0, &[]);
    assert!(text.contains(r#"kulta_kubernetes_events_dropped_total{type="Normal"} 1"#), "{text}");
}
