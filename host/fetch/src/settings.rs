//! Limits, each with its reason, and the allowed URLs.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::aws::AwsEnvironment;
use crate::proxies::Proxies;

/// Argo Rollouts' timeout of a Prometheus query.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Prometheus itself aborts a query after two minutes; a proxy in front of it may take longer.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(5);
/// Prometheus' largest range query (11 000 points) is about 300 KB; a metric's value may be 64 KiB.
/// With all requests in flight at their limit this is 64 MiB.
const BODY_LIMIT: usize = 2 * 1024 * 1024;
/// From http to https, to a canonical host name and to a login page, with some to spare.
const REDIRECTS: usize = 5;
/// Prometheus runs 20 queries at a time and queues the others.
const IN_FLIGHT: usize = 32;

#[derive(Clone, Debug)]
pub struct Settings {
    /// For a request without one. Default 30 s.
    pub timeout: Duration,
    /// Upper bound of a request's timeout. Default 5 min.
    pub longest_timeout: Duration,
    /// Bytes of an answer's body that are read. Default 2 MiB.
    pub body_limit: usize,
    /// Redirects that are followed for one request; with 0, a redirect is a failure. Default 5.
    pub redirects: usize,
    /// Concurrent requests on the network; further requests wait. Default 32.
    pub in_flight: usize,
    /// Allowed URLs, also for redirects and tokens; if empty, any http or https URL.
    pub prefixes: Vec<UrlPrefix>,
    /// Whether loopback addresses are allowed. Default false.
    pub loopback: bool,
    /// Denied addresses, in addition to link-local ones and metadata services.
    pub denied: Vec<IpNet>,
    /// Source of credentials for SigV4; none by default.
    pub aws: AwsEnvironment,
    /// Proxies of requests; none by default.
    pub proxies: Proxies,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("a timeout is zero")]
    Timeout,
    #[error("the limit of an answer's size is zero")]
    BodyLimit,
    #[error("the limit of requests in flight is zero")]
    InFlight,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: TIMEOUT,
            longest_timeout: LONGEST_TIMEOUT,
            body_limit: BODY_LIMIT,
            redirects: REDIRECTS,
            in_flight: IN_FLIGHT,
            prefixes: Vec::new(),
            loopback: false,
            denied: Vec::new(),
            aws: AwsEnvironment::default(),
            proxies: Proxies::default(),
        }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        if self.timeout.is_zero() || self.longest_timeout.is_zero() {
            Err(SettingsError::Timeout)
        } else if self.body_limit == 0 {
            Err(SettingsError::BodyLimit)
        } else if self.in_flight == 0 {
            Err(SettingsError::InFlight)
        } else {
            Ok(())
        }
    }

    pub(crate) fn timeout_for(&self, asked: Duration) -> Duration {
        if asked.is_zero() { self.timeout } else { asked.min(self.longest_timeout) }
    }

    pub(crate) fn allows(&self, url: &Url) -> bool {
        self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| prefix.covers(url))
    }
}

/// A prefix of URLs: the same scheme, host and port, and a path that continues at a `/`.
/// `https://metrics.example/api` covers `https://metrics.example/api/v1` but not `https://metrics.example/apis`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPrefix(Url);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    #[error("{prefix:?} is not a URL such as \"https://prometheus.monitoring:9090/api\": {reason}")]
    Url { prefix: String, reason: String },
    #[error("{prefix:?} begins neither with http:// nor with https://")]
    Scheme { prefix: String },
    // Not repeated: it may contain a password.
    #[error("a URL prefix has a user, a query or a fragment; it may only have a scheme, a host, a port and a path")]
    Parts,
}

impl FromStr for UrlPrefix {
    type Err = PrefixError;

    fn from_str(prefix: &str) -> Result<Self, PrefixError> {
        let prefix = prefix.to_owned();
        let url = match Url::parse(&prefix) {
            Ok(url) => url,
            Err(error) => return Err(PrefixError::Url { prefix, reason: error.to_string() }),
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(PrefixError::Scheme { prefix });
        }
        let extra = !url.username().is_empty() || url.password().is_some();
        if extra || url.query().is_some() || url.fragment().is_some() {
            return Err(PrefixError::Parts);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for UrlPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl UrlPrefix {
    pub(crate) fn covers(&self, url: &Url) -> bool {
        let rest = url.path().strip_prefix(self.0.path().trim_end_matches('/'));
        self.0.origin() == url.origin()
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            && !climbs(url.path())
    }
}

/// True if a server that decodes the path before it resolves it would leave the prefix. The URL parser has removed
/// plain `..` already.
fn climbs(path: &str) -> bool {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    decoded.split(['/', '\\']).any(|segment| segment == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(prefix: &str, url: &str) -> bool {
        let settings = Settings { prefixes: vec![prefix.parse().unwrap()], ..Settings::default() };
        settings.allows(&url.parse().unwrap())
    }

    #[test]
    fn a_prefix_covers_its_path_and_what_is_below_it() {
        let cases = [
            ("http://good.example", "http://good.example/"),
            ("http://good.example", "http://GOOD.example:80/api/v1?query=up"),
            ("http://good.example/", "http://good.example/api"),
            ("http://good.example/api", "http://good.example/api"),
            ("http://good.example/api", "http://good.example/api/v1/query?query=up"),
            ("http://good.example/api/", "http://good.example/api/v1"),
            ("http://good.example:9090/api", "http://user:password@good.example:9090/api"),
        ];

        for (prefix, url) in cases {
            assert!(allows(prefix, url), "{prefix} {url}");
        }
    }

    #[test]
    fn a_prefix_does_not_cover_similar_hosts_and_paths() {
        let cases = [
            ("http://good.example", "http://good.example.evil/"),
            ("http://good.example", "http://good.example@evil/"),
            ("http://good.example", "http://good.example:x@evil/"),
            ("http://good.example", "https://good.example/"),
            ("http://good.example", "http://good.example:8080/"),
            ("http://good.example:9090", "http://good.example/"),
            ("http://good.example/api", "http://good.example/apis"),
            ("http://good.example/api", "http://good.example/"),
            ("http://good.example/api", "http://good.example/api/../admin"),
            ("http://good.example/api", "http://good.example/api/%2e%2e/admin"),
            ("http://good.example/api", "http://good.example/api/..%2fadmin"),
            ("http://good.example/api", "http://good.example/api/..%5Cadmin"),
            ("http://good.example/api", "http://evil/http://good.example/api"),
        ];

        for (prefix, url) in cases {
            assert!(!allows(prefix, url), "{prefix} {url}");
        }
    }

    #[test]
    fn without_prefixes_any_url_is_allowed() {
        assert!(Settings::default().allows(&"https://anywhere.example/".parse().unwrap()));
    }

    #[test]
    fn an_invalid_prefix_is_rejected_with_the_reason() {
        let cases = [
            ("metrics.example", "is not a URL"),
            ("ftp://metrics.example", "neither"),
            ("http://user@metrics.example", "may only have"),
            ("http://metrics.example/?a=b", "may only have"),
            ("http://metrics.example/#a", "may only have"),
        ];

        for (prefix, expected) in cases {
            let error = UrlPrefix::from_str(prefix).unwrap_err().to_string();
            assert!(error.contains(expected), "{prefix}: {error}");
        }
    }

    #[test]
    fn a_request_gets_its_own_timeout_up_to_the_longest() {
        let settings = Settings::default();

        let times = [0, 1, 100_000].map(|seconds| settings.timeout_for(Duration::from_secs(seconds)));

        assert_eq!(times, [TIMEOUT, Duration::from_secs(1), LONGEST_TIMEOUT]);
    }

    #[test]
    fn a_limit_of_zero_is_rejected() {
        let usual = Settings::default;
        let cases = [
            (Settings { timeout: Duration::ZERO, ..usual() }, SettingsError::Timeout),
            (Settings { longest_timeout: Duration::ZERO, ..usual() }, SettingsError::Timeout),
            (Settings { body_limit: 0, ..usual() }, SettingsError::BodyLimit),
            (Settings { in_flight: 0, ..usual() }, SettingsError::InFlight),
        ];

        for (settings, error) in cases {
            assert_eq!(settings.check(), Err(error));
        }
    }
}
