use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

use super::*;
use crate::clock::VirtualClock;

/// The one Lease of an API server, and what happens to it.
#[derive(Default)]
struct Server {
    lease: Mutex<Option<Value>>,
    behaviour: Mutex<Behaviour>,
}

#[derive(Clone, Copy, Default)]
struct Behaviour {
    /// Every request is refused with 403.
    forbidden: bool,
    /// So many of the next writes find that somebody has put an annotation on the Lease meanwhile.
    annotated: u32,
    /// Every request is refused with 500.
    broken: bool,
    /// A write is stored at once and answered after this.
    delay: Duration,
}

impl Server {
    fn client(self: &Arc<Self>) -> Client {
        let server = Arc::clone(self);
        let service = service_fn(move |request: http::Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let method = request.method().clone();
                let body = request.into_body().collect_bytes().await.unwrap();
                let (code, answer) = server.answer(&method, serde_json::from_slice(&body).unwrap_or_default());
                let delay = server.behaviour().delay;
                if method != http::Method::GET {
                    tokio::time::sleep(delay).await;
                }
                let answer = http::Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
                Ok::<_, Infallible>(answer.unwrap())
            }
        });
        Client::new(service, "kulta-system")
    }

    fn behaviour(&self) -> Behaviour {
        *self.behaviour.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    fn answer(&self, method: &http::Method, mut body: Value) -> (u16, Value) {
        let mut stored = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        let mut behaviour = self.behaviour.lock().unwrap_or_else(PoisonError::into_inner);
        if behaviour.broken {
            return refused(500, "InternalError");
        }
        if behaviour.forbidden {
            return refused(403, "leases.coordination.k8s.io is forbidden");
        }
        if *method == http::Method::GET {
            return stored.clone().map_or_else(|| refused(404, "NotFound"), |lease| (200, lease));
        }
        if behaviour.annotated > 0 {
            behaviour.annotated -= 1;
            let lease = stored.as_mut().unwrap();
            lease["metadata"]["annotations"] = json!({ "team": behaviour.annotated.to_string() });
            lease["metadata"]["resourceVersion"] = json!(next_version(lease));
        }
        let seen = &body["metadata"]["resourceVersion"];
        if stored.as_ref().is_some_and(|lease| lease["metadata"]["resourceVersion"] != *seen) {
            return refused(409, "Conflict");
        }
        body["metadata"]["resourceVersion"] = json!(next_version(&body));
        *stored = Some(body.clone());
        (200, body)
    }

    /// Another process writes its name into the Lease.
    fn take(&self, holder: &str) {
        let mut stored = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        let lease = stored.as_mut().unwrap();
        lease["spec"]["holderIdentity"] = json!(holder);
        lease["metadata"]["resourceVersion"] = json!(next_version(lease));
    }

    fn holder(&self) -> Option<String> {
        let stored = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        stored.as_ref().and_then(|lease| lease["spec"]["holderIdentity"].as_str().map(ToOwned::to_owned))
    }
}

fn next_version(lease: &Value) -> String {
    let version: u64 = lease["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
    (version + 1).to_string()
}

fn refused(code: u16, reason: &str) -> (u16, Value) {
    (code, json!({ "kind": "Status", "status": "Failure", "reason": reason, "message": reason, "code": code }))
}

fn elector(server: &Arc<Server>, identity: &str) -> Elector {
    let clock = Arc::new(VirtualClock::start(jiff::Timestamp::from_second(1_800_000_000).unwrap()));
    Elector::new(server.client(), "kulta-system", identity.to_owned(), clock)
}

async fn leader(server: &Arc<Server>, identity: &str) -> Elector {
    let mut elector = elector(server, identity);
    elector.acquire().await;
    elector
}

#[tokio::test(start_paused = true)]
async fn a_process_that_died_and_has_its_identity_again_leads_at_once() {
    let server = Arc::new(Server::default());
    drop(leader(&server, "kulta-0_uid").await);
    let began = Instant::now();

    leader(&server, "kulta-0_uid").await;

    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn another_identity_waits_until_the_holder_has_not_renewed_for_the_leases_duration() {
    let server = Arc::new(Server::default());
    drop(leader(&server, "one").await);
    let began = Instant::now();

    leader(&server, "two").await;

    assert!(began.elapsed() >= DURATION, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_somebody_annotates_goes_on() {
    let server = Arc::new(Server::default());
    let mut elector = leader(&server, "one").await;
    server.behave(Behaviour { annotated: 3, ..Behaviour::default() });

    let lost = tokio::time::timeout(DURATION * 4, elector.keep()).await;

    assert!(lost.is_err(), "{lost:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_renewals_all_meet_a_conflict_is_lost_at_the_deadline() {
    let server = Arc::new(Server::default());
    let mut elector = leader(&server, "one").await;
    let began = Instant::now();
    server.behave(Behaviour { annotated: u32::MAX, ..Behaviour::default() });

    let lost = elector.keep().await;

    assert!(matches!(lost, LeaseError::Lost { .. }), "{lost:?}");
    assert!(began.elapsed() < RENEW_DEADLINE + RETRY, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_ends_when_the_lease_names_another_holder() {
    let server = Arc::new(Server::default());
    let mut elector = leader(&server, "one").await;
    server.take("two");

    let lost = elector.keep().await;

    assert!(matches!(&lost, LeaseError::Taken(holder) if holder == "two"), "{lost:?}");
}

/// Others count the lease's duration from when they see the write, which may be long before its answer is here.
#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_when_a_renewal_is_sent() {
    let server = Arc::new(Server::default());
    let mut elector = leader(&server, "one").await;
    server.behave(Behaviour { delay: Duration::from_secs(7), ..Behaviour::default() });
    let sent = Instant::now() + RETRY;
    let keep = tokio::spawn(async move { elector.keep().await });
    tokio::time::sleep(Duration::from_secs(8)).await;
    server.behave(Behaviour { broken: true, ..Behaviour::default() });

    keep.await.unwrap();

    assert!(sent.elapsed() < DURATION, "{:?}", sent.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_annotates_is_given_up_all_the_same() {
    let server = Arc::new(Server::default());
    let elector = leader(&server, "one").await;
    server.behave(Behaviour { annotated: 1, ..Behaviour::default() });

    elector.release().await;

    assert_eq!(server.holder(), None);
}

#[tokio::test(start_paused = true)]
async fn a_holder_with_a_longer_lease_is_waited_for_as_long_as_its_lease_says() {
    let server = Arc::new(Server::default());
    let times = LeaseTimes { duration: DURATION * 4, ..LeaseTimes::default() };
    let mut holder = elector(&server, "one").with_times(times);
    holder.acquire().await;
    drop(holder);
    let began = Instant::now();

    leader(&server, "two").await;

    assert!(began.elapsed() >= DURATION * 4, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_stops_at_the_deadline_that_it_was_given() {
    let server = Arc::new(Server::default());
    let times =
        LeaseTimes { renew_deadline: Duration::from_secs(4), retry: Duration::from_secs(1), ..LeaseTimes::default() };
    let mut elector = elector(&server, "one").with_times(times);
    elector.acquire().await;
    server.behave(Behaviour { broken: true, ..Behaviour::default() });
    let began = Instant::now();

    elector.keep().await;

    assert!(began.elapsed() <= Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_the_lease_the_reason_says_what_to_grant() {
    let server = Arc::new(Server::default());
    server.behave(Behaviour { forbidden: true, ..Behaviour::default() });
    let waiting = Arc::<Waiting>::default();
    let mut elector = elector(&server, "one");
    elector.report_to(Arc::clone(&waiting));

    let acquired = tokio::time::timeout(DURATION, elector.acquire()).await;

    assert!(acquired.is_err());
    let reasons = waiting.reasons();
    let [reason] = reasons.as_slice() else { panic!("{reasons:?}") };
    for expected in
        ["argo-rollouts-controller-lock", "kulta-system", "is forbidden", "get, create and update of leases"]
    {
        assert!(reason.contains(expected), "{expected} is not in {reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_waits_for_the_lease_says_who_holds_it_and_stops_saying_so_when_it_leads() {
    let server = Arc::new(Server::default());
    drop(leader(&server, "one").await);
    let waiting = Arc::<Waiting>::default();
    let mut elector = elector(&server, "two");
    elector.report_to(Arc::clone(&waiting));

    let early = tokio::time::timeout(RETRY, elector.acquire()).await;
    let while_waiting = waiting.reasons();
    elector.acquire().await;

    assert!(early.is_err());
    assert!(while_waiting.concat().contains("\"one\" holds it"), "{while_waiting:?}");
    assert_eq!(waiting.reasons(), Vec::<String>::new());
}
