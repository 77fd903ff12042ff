//! The entry point for the controller.

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;

use crate::call::Call;
use crate::counters::{Counters, add_one};
use crate::in_flight::InFlightCalls;
use crate::network::Network;
use crate::request::{Failure, Request, Response};
use crate::secrets::Secrets;
use crate::settings::{Settings, SettingsError};
use crate::tape::{Recorder, Replay, TapeError};

#[derive(Debug, thiserror::Error)]
pub enum FetcherError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("no TLS provider is installed in this process")]
    NoTlsProvider,
    #[error(transparent)]
    Tape(#[from] TapeError),
}

/// Makes requests for all plugins.
pub struct Fetcher {
    transport: Transport,
    counters: Arc<Counters>,
}

enum Transport {
    Live(Live),
    Recording(Live, Recorder),
    Replaying(Replay),
}

struct Live {
    network: Arc<Network>,
    in_flight: InFlightCalls<Result<Response, Failure>>,
}

impl Fetcher {
    /// # Errors
    /// If a limit is zero or no TLS provider is installed.
    pub fn new(settings: Settings) -> Result<Self, FetcherError> {
        let counters = Arc::default();
        let live = Live::new(settings, &counters)?;
        Ok(Self { transport: Transport::Live(live), counters })
    }

    /// As [`new`](Self::new); appends each request and its answer to the file, without secrets.
    ///
    /// # Errors
    /// Also if the file cannot be opened.
    pub fn recording(settings: Settings, path: &Path) -> Result<Self, FetcherError> {
        let counters = Arc::default();
        let live = Live::new(settings, &counters)?;
        Ok(Self { transport: Transport::Recording(live, Recorder::append_to(path)?), counters })
    }

    /// Answers from a recorded file and never uses the network.
    ///
    /// # Errors
    /// If the file cannot be read or a line is not a record.
    pub fn replaying(path: &Path) -> Result<Self, FetcherError> {
        Ok(Self { transport: Transport::Replaying(Replay::read(path)?), counters: Arc::default() })
    }

    /// The answer to `request`, whatever its status. Equal read-only requests (in all but their timeout, including
    /// secret values) are sent once while one of them is in call.
    ///
    /// # Errors
    /// The reason that there is no answer; secrets in it are redacted.
    pub async fn fetch(&self, request: Request, secrets: &Secrets) -> Result<Response, Failure> {
        let outcome = match &self.transport {
            Transport::Live(live) => live.fetch(&request, secrets, &self.counters).await,
            Transport::Recording(live, recorder) => {
                let outcome = live.fetch(&request, secrets, &self.counters).await;
                recorder.record(&request, secrets, outcome)
            }
            Transport::Replaying(replay) => replay.answer(&request, secrets),
        };
        self.counters.count(&outcome);
        outcome
    }

    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }
}

impl Live {
    fn new(settings: Settings, counters: &Arc<Counters>) -> Result<Self, FetcherError> {
        settings.check()?;
        // Without a provider reqwest would abort the process.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(FetcherError::NoTlsProvider);
        }
        let network = Arc::new(Network::new(settings, Arc::clone(counters)));
        Ok(Self { network, in_flight: InFlightCalls::default() })
    }

    async fn fetch(&self, request: &Request, secrets: &Secrets, counters: &Counters) -> Result<Response, Failure> {
        // Redacted first: a truncated secret would not be recognised.
        secrets.masking().outcome(self.send(request, secrets, counters).await).map_err(Failure::shortened)
    }

    async fn send(&self, request: &Request, secrets: &Secrets, counters: &Counters) -> Result<Response, Failure> {
        let call = Call::fill(request, secrets)?;
        let timeout = self.network.settings().timeout_for(request.timeout);
        let key = call.key();
        let network = Arc::clone(&self.network);
        let send = async move { network.send(&call).await };
        // Each caller waits for its own timeout. If all callers have left, the request is dropped with its connection.
        let outcome = match key {
            Some(key) => {
                let (call, joined) = self.in_flight.join(key, || send.boxed());
                if joined {
                    add_one(&counters.shared);
                }
                tokio::time::timeout(timeout, call).await
            }
            None => tokio::time::timeout(timeout, send).await,
        };
        outcome.unwrap_or(Err(Failure::Timeout))
    }
}
