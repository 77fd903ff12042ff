//! HTTP clients: keep connections open, connect to checked addresses only, never through a proxy.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};

use crate::address::{AddressRules, CheckedResolver, SystemResolver};
use crate::http::{IDLE_TIMEOUT, USER_AGENT, reason};
use crate::request::Failure;

/// For all of a host's addresses and the TLS handshake. Metrics are near: a host that takes longer is unreachable, and
/// this error is more helpful than a timeout of the whole request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One client for each TLS mode, created at its first use: https without trusted certificates is an error, but an image
/// without certificates can use plain http.
pub(crate) struct Clients {
    resolver: Arc<CheckedResolver<SystemResolver>>,
    idle: usize,
    plain: OnceLock<Client>,
    verifying: OnceLock<Client>,
    trusting: OnceLock<Client>,
}

impl Clients {
    /// `idle`: idle connections per host.
    pub fn new(rules: Arc<AddressRules>, idle: usize) -> Self {
        let resolver = Arc::new(CheckedResolver { rules, resolver: Arc::new(SystemResolver) });
        let (plain, verifying, trusting) = <(OnceLock<_>, OnceLock<_>, OnceLock<_>)>::default();
        Self { resolver, idle, plain, verifying, trusting }
    }

    pub fn for_url(&self, url: &Url, skip_tls_verify: bool) -> Result<&Client, Failure> {
        type Tls = fn(ClientBuilder) -> ClientBuilder;
        let (place, tls): (_, Tls) = match (url.scheme(), skip_tls_verify) {
            ("https", false) => (&self.verifying, |client| client.https_only(true)),
            ("https", true) => (&self.trusting, |client| {
                client.https_only(true).tls_certs_only([]).tls_danger_accept_invalid_certs(true)
            }),
            _ => (&self.plain, |client| client.tls_certs_only([])),
        };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        // A failure is not cached: a user can add the certificates.
        let client = tls(self.builder())
            .build()
            .map_err(|error| Failure::Failed(format!("setting up connections: {}", reason(error))))?;
        Ok(place.get_or_init(|| client))
    }

    fn builder(&self) -> ClientBuilder {
        Client::builder()
            .user_agent(USER_AGENT)
            // A proxy would connect to addresses that nobody checked.
            .no_proxy()
            .dns_resolver(Arc::clone(&self.resolver))
            // `network` checks each redirect before it follows it.
            .redirect(Policy::none())
            .referer(false)
            // The body limit counts the same bytes on the wire and in memory.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .http1_only()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(self.idle)
            .pool_idle_timeout(IDLE_TIMEOUT)
    }
}
