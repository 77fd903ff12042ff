//! HTTP clients: keep connections open, and connect to checked addresses only or to the proxy that is configured.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Proxy, Url};

use crate::address::{AddressRules, CheckedResolver, SystemResolver};
use crate::http::{IDLE_TIMEOUT, USER_AGENT, reason};
use crate::request::Failure;

/// For all of a host's addresses and the TLS handshake. Metrics are near: a host that takes longer is unreachable, and
/// this error is more helpful than a timeout of the whole request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Clients {
    resolver: Arc<CheckedResolver<SystemResolver>>,
    idle: usize,
    direct: Modes,
    proxied: Modes,
}

/// One client for each TLS mode, created at its first use: https without trusted certificates is an error, but an image
/// without certificates can use plain http.
#[derive(Default)]
struct Modes {
    plain: OnceLock<Client>,
    verifying: OnceLock<Client>,
    trusting: OnceLock<Client>,
}

impl Clients {
    /// `idle`: idle connections per host.
    pub fn new(rules: Arc<AddressRules>, idle: usize) -> Self {
        let resolver = Arc::new(CheckedResolver { rules, resolver: Arc::new(SystemResolver) });
        Self { resolver, idle, direct: Modes::default(), proxied: Modes::default() }
    }

    /// The client for a URL. Whoever passes a proxy has checked the URL's addresses: the proxy connects to them.
    pub fn for_url(&self, url: &Url, proxy: Option<&Url>, skip_tls_verify: bool) -> Result<&Client, Failure> {
        type Tls = fn(ClientBuilder) -> ClientBuilder;
        let modes = if proxy.is_some() { &self.proxied } else { &self.direct };
        let (place, tls): (_, Tls) = match (url.scheme(), skip_tls_verify) {
            ("https", false) => (&modes.verifying, |client| client.https_only(true)),
            ("https", true) => (&modes.trusting, |client| {
                client.https_only(true).tls_certs_only([]).tls_danger_accept_invalid_certs(true)
            }),
            _ => (&modes.plain, |client| client.tls_certs_only([])),
        };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        // A failure is not cached: a user can add the certificates.
        let failed = |error| Failure::Failed(format!("setting up connections: {}", reason(error)));
        let builder = match proxy {
            // It is the same one for all URLs of a scheme, and an administrator has named it: its address is not checked.
            Some(proxy) => self.builder().proxy(Proxy::all(proxy.clone()).map_err(failed)?),
            None => self.builder().no_proxy().dns_resolver(Arc::clone(&self.resolver)),
        };
        let client = tls(builder).build().map_err(failed)?;
        Ok(place.get_or_init(|| client))
    }

    fn builder(&self) -> ClientBuilder {
        Client::builder()
            .user_agent(USER_AGENT)
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
