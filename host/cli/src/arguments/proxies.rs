//! Proxies for outgoing requests.

use clap::Args;
use kulta_fetch::{Proxies, ProxyError};

#[derive(Args, Debug)]
#[command(next_help_heading = "Proxies")]
pub struct ProxyArguments {
    /// Proxy for http requests to registries, the event sink and analyses: http://HOST:PORT, with a user and password if
    /// it needs them; can also be set by http_proxy
    #[arg(long, env = "HTTP_PROXY", value_name = "URL", hide_env_values = true)]
    http_proxy: Option<String>,
    /// Proxy for https requests to registries, the event sink and analyses; can also be set by https_proxy
    #[arg(long, env = "HTTPS_PROXY", value_name = "URL", hide_env_values = true)]
    https_proxy: Option<String>,
    /// Hosts to reach without a proxy, comma separated: names with all below them, addresses, networks, each with or
    /// without a port, or "*" for all; loopback is never proxied. Can also be set by no_proxy
    #[arg(long, env = "NO_PROXY", value_name = "HOSTS")]
    no_proxy: Option<String>,
}

impl ProxyArguments {
    /// # Errors
    /// If one of them is invalid; the error names it.
    pub fn proxies(&self) -> Result<Proxies, ProxyError> {
        let [http, https, no] = [&self.http_proxy, &self.https_proxy, &self.no_proxy].map(Option::as_deref);
        Proxies::new(http, https, no.unwrap_or_default())
    }
}
