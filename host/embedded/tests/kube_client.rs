//! kube's own client and watcher against the server in process, on a virtual clock, with faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, PostParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use kulta_embedded::clock::Clock;
use kulta_embedded::faults::{Call, Delivery, Faults, Verb, Verdict};
use kulta_embedded::server::Server;
use kulta_embedded::status::ApiError;
use kulta_embedded::store::{Settings, Store};
use kulta_embedded::watch::WatchEvent;

/// 2026-01-01T00:00:00Z.
const EPOCH: Timestamp = Timestamp::constant(1_767_225_600, 0);

fn server() -> Server {
    Server::new(Store::new(Settings::new(Clock::starting_at(EPOCH), 7)))
}

fn config_maps(server: &Server) -> Api<ConfigMap> {
    Api::namespaced(Client::new(server.router(), "default"), "default")
}

fn named(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map
}

async fn create(api: &Api<ConfigMap>, name: &str) -> kube::Result<ConfigMap> {
    api.create(&PostParams::default(), &named(name)).await
}

fn describe(event: &Event<ConfigMap>) -> String {
    match event {
        Event::Init => "init".to_owned(),
        Event::InitApply(object) => format!("listed {}", object.name_any()),
        Event::InitDone => "done".to_owned(),
        Event::Apply(object) => format!("apply {}", object.name_any()),
        Event::Delete(object) => format!("delete {}", object.name_any()),
    }
}

async fn observed_events(config: watcher::Config) -> anyhow::Result<Vec<String>> {
    let server = server();
    let api = config_maps(&server);
    create(&api, "a").await?;
    let mut events = std::pin::pin!(watcher(api.clone(), config));
    let mut observed = Vec::new();
    while observed.last().map(String::as_str) != Some("done") {
        observed.push(describe(&events.try_next().await?.context("the watcher ended")?));
    }
    create(&api, "b").await?;
    api.delete("a", &DeleteParams::default()).await?;
    for _ in 0..2 {
        observed.push(describe(&events.try_next().await?.context("the watcher ended")?));
    }
    Ok(observed)
}

#[tokio::test(start_paused = true)]
async fn kubes_watcher_lists_and_follows() {
    assert_eq!(
        observed_events(watcher::Config::default()).await.unwrap(),
        ["init", "listed a", "done", "apply b", "delete a"]
    );
}

#[tokio::test(start_paused = true)]
async fn kubes_watcher_follows_streaming_lists() {
    let observed = observed_events(watcher::Config::default().streaming_lists()).await.unwrap();

    // kube 4 does not report the beginning of a streaming list.
    assert_eq!(observed, ["listed a", "done", "apply b", "delete a"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_on_a_virtual_clock_survives_hours_without_a_change() {
    let server = server();
    let api = config_maps(&server);
    let mut events = std::pin::pin!(watcher(api.clone(), watcher::Config::default()));
    while describe(&events.try_next().await.unwrap().unwrap()) != "done" {}

    let later = async {
        tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
        create(&api, "late").await.unwrap()
    };
    let (event, made) = tokio::join!(events.try_next(), later);

    assert_eq!(describe(&event.unwrap().unwrap()), "apply late");
    assert_eq!(made.metadata.creation_timestamp.unwrap().0.to_string(), "2026-01-01T03:00:00Z");
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_identical_objects() {
    let first = create(&config_maps(&server()), "a").await.unwrap();
    let second = create(&config_maps(&server()), "a").await.unwrap();

    assert_eq!(first, second);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_history_makes_the_watcher_list_again() {
    let server = server();
    let api = config_maps(&server);
    // After the cut, the client asks for a version that is no longer in the history.
    let cut = Arc::new(Mishaps { refused: AtomicU32::new(0), cut: AtomicU32::new(1) });
    let faulty = config_maps(&server.clone().with_faults(cut));
    let mut events = std::pin::pin!(watcher(faulty, watcher::Config::default()));
    while describe(&events.try_next().await.unwrap().unwrap()) != "done" {}
    create(&api, "a").await.unwrap();
    server.store().compact();

    let seen: Vec<_> = events.by_ref().filter_map(|event| async { event.ok() }).take(3).collect().await;

    assert_eq!(seen.iter().map(describe).collect::<Vec<_>>(), ["init", "listed a", "done"]);
}

/// Fails the first creates after they were done, and cuts the first watches at an event.
struct Mishaps {
    refused: AtomicU32,
    cut: AtomicU32,
}

fn take(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

impl Faults for Mishaps {
    fn before(&self, _: &Call) -> Verdict {
        Verdict::Pass
    }

    fn after(&self, call: &Call) -> Verdict {
        if call.verb == Verb::Create && take(&self.refused) {
            return Verdict::Refuse(ApiError::new(500, "InternalError", "lost"));
        }
        Verdict::Pass
    }

    fn event(&self, _: &Call, _: &WatchEvent) -> Delivery {
        if take(&self.cut) { Delivery::Cut } else { Delivery::Send }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_may_happen_although_its_answer_is_lost() {
    let mishaps = Arc::new(Mishaps { refused: AtomicU32::new(1), cut: AtomicU32::new(0) });
    let api = config_maps(&server().with_faults(mishaps));

    let first = create(&api, "a").await;
    let second = create(&api, "a").await;

    let code = |result: kube::Result<ConfigMap>| match result {
        Err(kube::Error::Api(status)) => status.code,
        other => panic!("{other:?}"),
    };
    assert_eq!((code(first), code(second)), (500, 409));
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_gets_every_change_in_order() {
    let server = server();
    let mut changes = server.store().subscribe();
    let api = config_maps(&server);

    create(&api, "a").await.unwrap();
    api.delete("a", &DeleteParams::default()).await.unwrap();

    let observed: Vec<(String, bool)> = std::iter::from_fn(|| changes.try_recv().ok())
        .map(|change| (change.key.name().to_owned(), change.after.is_some()))
        .collect();
    assert_eq!(observed, [("a".to_owned(), true), ("a".to_owned(), false)]);
}
