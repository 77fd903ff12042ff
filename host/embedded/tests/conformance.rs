//! The conformance cases against the embedded server in process. `kulta-tests` runs them against a real server too.

use futures::StreamExt;
use kube::Client;
use kulta_conformance::{CASES, prepare};
use kulta_embedded::clock::Clock;
use kulta_embedded::server::Server;
use kulta_embedded::store::{Settings, Store};

/// Number of concurrent cases.
const AT_ONCE: usize = 8;

#[tokio::test]
async fn the_embedded_server_passes_every_case() {
    let server = Server::new(Store::new(Settings::new(Clock::wall(), 1)));
    let client = Client::new(server.router(), "default");
    prepare(&client).await.unwrap();
    server.store().compact();

    let outcomes: Vec<_> = futures::stream::iter(CASES).map(|case| case.run(&client)).buffered(AT_ONCE).collect().await;

    let failures: Vec<String> = outcomes
        .iter()
        .filter_map(|outcome| Some(format!("{}: {}", outcome.name, outcome.failure.as_ref()?)))
        .collect();
    assert!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), CASES.len(), failures.join("\n"));
}
