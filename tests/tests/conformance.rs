//! The conformance cases against the real API server and the embedded one: both must pass them with equal transcripts.

use anyhow::{Result, ensure};
use futures::StreamExt;
use kube::Client;
use kulta_conformance::{CASES, Outcome, prepare};
use kulta_embedded::{
    clock::Clock,
    server::Server,
    store::{Settings, Store},
};
use kulta_tests::environment::Environment;

/// Concurrent cases: they wait for the controllers of the real cluster.
const AT_ONCE: usize = 8;

/// Cases in which the real cluster's controllers act, so that intermediate reads depend on their speed.
const TIMED: [&str; 4] = [
    "dependents_go_with_their_owner",
    "foreground_deletion_waits_for_dependents",
    "orphans_stay",
    "a_dependent_of_nobody_goes",
];

async fn run(client: &Client) -> Vec<Outcome> {
    futures::stream::iter(CASES).map(|case| case.run(client)).buffered(AT_ONCE).collect().await
}

/// The first line that differs between two transcripts.
fn difference(real: &Outcome, embedded: &Outcome) -> Option<String> {
    if TIMED.contains(&real.name) {
        return None;
    }
    let pair = real.transcript.iter().zip(&embedded.transcript).find(|(real, embedded)| real != embedded);
    pair.map(|(one, other)| format!("{}:\n  real:     {one}\n  embedded: {other}", real.name))
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_embedded_server_behaves_like_the_real_one() -> Result<()> {
    let real = Environment::find()?.client().await?;
    let server = Server::new(Store::new(Settings::new(Clock::wall(), 1)));
    let embedded = Client::new(server.router(), "default");
    prepare(&real).await?;
    prepare(&embedded).await?;
    server.store().compact();

    let (real, embedded) = (run(&real).await, run(&embedded).await);

    let failures = [("real", &real), ("embedded", &embedded)].into_iter().flat_map(|(name, outcomes)| {
        outcomes
            .iter()
            .filter_map(move |outcome| Some(format!("{name}: {}: {}", outcome.name, outcome.failure.as_ref()?)))
    });
    let differences = real.iter().zip(&embedded).filter_map(|(real, embedded)| difference(real, embedded));
    let found: Vec<String> = failures.chain(differences).collect();
    println!("{} cases on two servers, {} differences", CASES.len(), found.len());
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}
