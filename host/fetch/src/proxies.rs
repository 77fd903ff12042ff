//! Proxies for outgoing requests, from the values that HTTP_PROXY, HTTPS_PROXY and NO_PROXY have.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::{Proxy, Url};

/// The proxy for http, the proxy for https, and the hosts that are reached without one. Loopback is never proxied: at the proxy it
/// would be the proxy's own host.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    exempt: Arc<Vec<Exempt>>,
}

// The URL itself is not in messages: it may contain a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    #[error("{name} is not a URL such as \"http://proxy.example:3128\": {reason}")]
    Url { name: &'static str, reason: String },
    #[error("{name} has the scheme \"{scheme}\"; only proxies that are reached by http are served")]
    Scheme { name: &'static str, scheme: String },
    #[error("NO_PROXY: {entry:?} is neither a name, an address nor a network, with or without a port")]
    Exempt { entry: String },
}

/// An entry of NO_PROXY.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exempt {
    hosts: Hosts,
    /// None: every port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    Network(IpNet),
    /// The name and all below it.
    Domain(String),
}

impl Proxies {
    /// From the three values; an empty one is none.
    ///
    /// # Errors
    /// If one is invalid.
    pub fn new(http: Option<&str>, https: Option<&str>, exempt: &str) -> Result<Self, ProxyError> {
        let exempt = exempt.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
        Ok(Self {
            http: proxy("HTTP_PROXY", http)?,
            https: proxy("HTTPS_PROXY", https)?,
            exempt: Arc::new(exempt.map(Exempt::parse).collect::<Result<_, _>>()?),
        })
    }

    /// The proxy of a URL; `None`: it is reached directly.
    #[must_use]
    pub fn of(&self, url: &Url) -> Option<&Url> {
        let proxy = match url.scheme() {
            "http" => self.http.as_ref(),
            "https" => self.https.as_ref(),
            _ => None,
        }?;
        let host = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let port = url.port_or_known_default();
        let direct = is_loopback(&host, address) || self.exempt.iter().any(|entry| entry.covers(&host, address, port));
        (!direct).then_some(proxy)
    }

    /// The same choice for a client of reqwest.
    #[must_use]
    pub fn to_reqwest(&self) -> Proxy {
        let proxies = self.clone();
        Proxy::custom(move |url| proxies.of(url).cloned())
    }
}

/// Without users and passwords.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = |url: &Option<Url>| url.as_ref().map(|url| url.origin().ascii_serialization());
        f.debug_struct("Proxies")
            .field("http", &origin(&self.http))
            .field("https", &origin(&self.https))
            .field("exempt", &self.exempt)
            .finish()
    }
}

fn proxy(name: &'static str, value: Option<&str>) -> Result<Option<Url>, ProxyError> {
    let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else { return Ok(None) };
    // Without a scheme it is a host and a port.
    let with_scheme = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let url = Url::parse(&with_scheme).map_err(|error| ProxyError::Url { name, reason: error.to_string() })?;
    if url.scheme() != "http" {
        return Err(ProxyError::Scheme { name, scheme: url.scheme().to_owned() });
    }
    Ok(Some(url))
}

fn is_loopback(host: &str, address: Option<IpAddr>) -> bool {
    host == "localhost" || host.ends_with(".localhost") || address.is_some_and(|address| address.is_loopback())
}

impl Exempt {
    fn parse(entry: &str) -> Result<Self, ProxyError> {
        if entry == "*" {
            return Ok(Self { hosts: Hosts::All, port: None });
        }
        if let Ok(network) = entry.parse() {
            return Ok(Self { hosts: Hosts::Network(network), port: None });
        }
        let (host, port) = with_port(entry);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self { hosts: Hosts::Network(address.into()), port });
        }
        let domain = host.trim_start_matches('*').trim_start_matches('.').trim_end_matches('.').to_ascii_lowercase();
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if domain.is_empty() || !domain.chars().all(valid) {
            return Err(ProxyError::Exempt { entry: entry.to_owned() });
        }
        Ok(Self { hosts: Hosts::Domain(domain), port })
    }

    fn covers(&self, host: &str, address: Option<IpAddr>, port: Option<u16>) -> bool {
        let here = match &self.hosts {
            Hosts::All => true,
            Hosts::Network(network) => address.is_some_and(|address| network.contains(&address)),
            Hosts::Domain(domain) => {
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        };
        here && self.port.is_none_or(|own| Some(own) == port)
    }
}

/// A host and its port. An IPv6 address has a port only behind brackets.
fn with_port(entry: &str) -> (&str, Option<u16>) {
    if entry.parse::<IpAddr>().is_ok() {
        return (entry, None);
    }
    let split = entry.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    split.map_or((entry, None), |(host, port)| (host, Some(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxied(exempt: &str, url: &str) -> bool {
        let proxies = Proxies::new(Some("http://p:1"), Some("http://p:2"), exempt).unwrap();
        proxies.of(&url.parse().unwrap()).is_some()
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let proxies = Proxies::new(None, Some("proxy.example:3128"), "").unwrap();

        let of = |url: &str| proxies.of(&url.parse().unwrap()).map(ToString::to_string);

        assert_eq!(of("https://metrics.example/"), Some("http://proxy.example:3128/".into()));
        assert_eq!(of("http://metrics.example/"), None);
    }

    #[test]
    fn exempt_hosts_are_reached_directly() {
        for (exempt, url) in [
            ("*", "http://a.example/"),
            ("a.example", "http://a.example/"),
            ("a.example", "https://b.A.example./"),
            (".svc", "http://prometheus.monitoring.svc/"),
            ("*.example", "http://a.example/"),
            ("x, a.example:8080", "http://a.example:8080/"),
            ("a.example:443", "https://a.example/"),
            ("10.0.0.0/8", "http://10.96.0.1/"),
            ("10.96.0.1", "http://10.96.0.1:9090/"),
            ("[2001:db8::1]:80", "http://[2001:db8::1]/"),
            ("2001:db8::/32", "http://[2001:db8::1]/"),
        ] {
            assert!(!proxied(exempt, url), "{exempt} {url}");
        }
    }

    #[test]
    fn other_hosts_are_proxied() {
        for (exempt, url) in [
            ("", "http://a.example/"),
            ("a.example", "http://ba.example/"),
            ("b.a.example", "http://a.example/"),
            ("a.example:8080", "http://a.example/"),
            ("10.0.0.0/8", "http://11.0.0.1/"),
            ("10.0.0.0/8", "http://ten.example/"),
        ] {
            assert!(proxied(exempt, url), "{exempt} {url}");
        }
    }

    #[test]
    fn loopback_is_never_proxied() {
        for url in ["http://localhost:9090/", "https://a.localhost/", "http://127.0.0.1/", "http://[::1]/"] {
            assert!(!proxied("", url), "{url}");
        }
    }

    #[test]
    fn an_empty_value_is_no_proxy() {
        let proxies = Proxies::new(Some(""), None, "").unwrap();

        assert_eq!(proxies.of(&"http://a.example/".parse().unwrap()), None);
    }

    #[test]
    fn an_invalid_value_is_rejected_without_its_password() {
        for (value, expected) in [("https://u:hunter2@p", "scheme \"https\""), ("http://u:hunter2@:1", "is not a URL")]
        {
            let error = Proxies::new(Some(value), None, "").unwrap_err().to_string();

            assert!(error.contains("HTTP_PROXY") && error.contains(expected), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_invalid_exemption_is_named() {
        for entry in ["10.0.0.0/99", "http://a.example", "a b/c"] {
            let error = Proxies::new(None, None, entry).unwrap_err().to_string();

            assert!(error.starts_with("NO_PROXY: "), "{error}");
        }
    }

    #[test]
    fn the_debug_output_has_no_password() {
        let proxies = Proxies::new(Some("http://u:hunter2@p:1"), None, "").unwrap();

        assert!(!format!("{proxies:?}").contains("hunter2"));
    }
}
