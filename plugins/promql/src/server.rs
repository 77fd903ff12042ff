//! The request for a query.

use kulta_plugin::Error;
use kulta_plugin::analyzer::{MAX_BODY_BYTES, Occasion};
use kulta_plugin::auth::{Authentication, Header};
use kulta_plugin::fetch::{Request, form, is_http_url, join};

/// The host's default address, for a configuration without one.
pub const ADDRESS_FACT: &str = "prometheus.address";

/// Argo Rollouts' timeout.
const DEFAULT_TIMEOUT_SECONDS: u64 = 30;
/// Kubernetes stores seconds in signed 32-bit integers.
const MAX_TIMEOUT_SECONDS: u64 = i32::MAX as u64;
const MILLIS_PER_SECOND: u64 = 1_000;
/// Limit of a URL: many proxies accept 8 KiB for the whole request line. A longer query is sent in a body.
const MAX_URL_BYTES: usize = 4 << 10;

/// The fields of a configuration about the server.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a> {
    pub address: Option<&'a str>,
    /// In seconds.
    pub timeout: Option<u64>,
    pub insecure: bool,
    pub headers: &'a [Header],
    pub authentication: &'a Authentication,
}

/// A query; instants are Unix milliseconds, `step` is milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query<'a> {
    /// Without a time the server uses its own: then the same query of many rollouts is one request.
    Instant {
        query: &'a str,
        time: Option<u64>,
    },
    Range {
        query: &'a str,
        start: u64,
        end: u64,
        step: u64,
    },
}

impl Server<'_> {
    /// Checks that do not depend on the input. An error begins with the field's path.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(address) = self.configured()
            && !is_http_url(address)
        {
            return invalid("address: not an http or https URL");
        }
        if self.timeout.is_some_and(|timeout| timeout > MAX_TIMEOUT_SECONDS) {
            return invalid(&format!("timeout: at most {MAX_TIMEOUT_SECONDS} seconds"));
        }
        self.authentication.auth().map(|_| ())
    }

    /// The request for this query: a GET, or a POST if the URL would be too long.
    pub fn request(&self, input: &Occasion, query: &Query<'_>) -> Result<Request, Error> {
        let (path, fields) = query.fields();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let url = join(self.address(input)?, path);
        let encoded = form(&fields);
        let request = match url.len().saturating_add(encoded.len()) {
            0..MAX_URL_BYTES => {
                fields.iter().fold(Request::get(url), |request, (name, value)| request.query(name, value))
            }
            _ if encoded.len() > MAX_BODY_BYTES => {
                return invalid(&format!("query: at most {MAX_BODY_BYTES} bytes when encoded"));
            }
            _ => Request::post(url).form(&fields),
        };
        let timeout = self.timeout.filter(|timeout| *timeout > 0).unwrap_or(DEFAULT_TIMEOUT_SECONDS);
        Ok(request
            .headers(self.headers)
            .auth(self.authentication.auth()?)
            .timeout(timeout.saturating_mul(MILLIS_PER_SECOND))
            .skip_tls_verify(self.insecure))
    }

    fn configured(&self) -> Option<&str> {
        self.address.filter(|address| !address.is_empty())
    }

    fn address<'o>(&'o self, input: &'o Occasion) -> Result<&'o str, Error> {
        if let Some(address) = self.configured() {
            return Ok(address);
        }
        match input.fact(ADDRESS_FACT) {
            Some(address) if is_http_url(address) => Ok(address),
            Some(_) => invalid("address: missing, and the controller's default is not an http or https URL"),
            None => invalid("address: missing, and the controller has no default"),
        }
    }
}

impl Query<'_> {
    fn fields(&self) -> (&'static str, Vec<(&'static str, String)>) {
        match self {
            Self::Instant { query, time } => {
                let mut fields = vec![("query", (*query).to_owned())];
                fields.extend(time.map(|time| ("time", seconds(time))));
                ("/api/v1/query", fields)
            }
            Self::Range { query, start, end, step } => (
                "/api/v1/query_range",
                vec![
                    ("query", (*query).to_owned()),
                    ("start", seconds(*start)),
                    ("end", seconds(*end)),
                    ("step", seconds(*step)),
                ],
            ),
        }
    }
}

/// Milliseconds as seconds, exactly: `1767225600`, `0.5`.
fn seconds(millis: u64) -> String {
    let (whole, rest) = (millis / MILLIS_PER_SECOND, millis % MILLIS_PER_SECOND);
    match rest {
        0 => whole.to_string(),
        _ => format!("{whole}.{rest:03}").trim_end_matches('0').to_owned(),
    }
}

fn invalid<T>(message: &str) -> Result<T, Error> {
    Err(Error::InvalidConfig(message.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kulta_plugin::fetch::Auth;
    use kulta_plugin::testing::analyzer::{input, with_fact};

    const NOTHING: Authentication = Authentication {
        basic_auth: kulta_plugin::auth::BasicAuth { username: String::new(), password: String::new() },
        oauth2: kulta_plugin::auth::Oauth2Client {
            token_url: String::new(),
            client_id: String::new(),
            client_secret: String::new(),
            scopes: Vec::new(),
        },
        sigv4: kulta_plugin::auth::Sigv4 { region: String::new(), profile: String::new(), role_arn: String::new() },
    };
    const SERVER: Server<'static> = Server {
        address: Some("http://prometheus:9090/"),
        timeout: None,
        insecure: false,
        headers: &[],
        authentication: &NOTHING,
    };
    const UP: Query<'static> = Query::Instant { query: "up", time: None };

    fn error_of(result: Result<Request, Error>) -> String {
        match result {
            Err(Error::InvalidConfig(message)) => message,
            other => panic!("expected an invalid configuration, got {other:?}"),
        }
    }

    #[test]
    fn an_instant_query_is_a_get_with_the_default_timeout() {
        let request = SERVER.request(&input(), &UP).unwrap();
        let expected = Request::get("http://prometheus:9090/api/v1/query?query=up").timeout(30_000);
        assert_eq!(request, expected);
    }

    #[test]
    fn a_time_is_in_seconds() {
        let query = Query::Instant { query: "up", time: Some(1_767_225_600_250) };
        let request = SERVER.request(&input(), &query).unwrap();
        assert!(request.url.ends_with("?query=up&time=1767225600.25"), "{}", request.url);
    }

    #[test]
    fn a_range_query_names_start_end_and_step() {
        let query = Query::Range { query: "up", start: 1_000, end: 61_000, step: 500 };
        let request = SERVER.request(&input(), &query).unwrap();
        assert!(request.url.ends_with("/api/v1/query_range?query=up&start=1&end=61&step=0.5"), "{}", request.url);
    }

    #[test]
    fn a_query_too_long_for_a_url_is_posted() {
        let long = "x".repeat(5_000);
        let request = SERVER.request(&input(), &Query::Instant { query: &long, time: None }).unwrap();
        assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "http://prometheus:9090/api/v1/query"));
        assert_eq!(request.body, format!("query={long}").into_bytes());
    }

    #[test]
    fn a_query_too_long_for_a_body_is_rejected() {
        let long = "x".repeat(MAX_BODY_BYTES);
        let message = error_of(SERVER.request(&input(), &Query::Instant { query: &long, time: None }));
        assert!(message.starts_with("query: "), "{message}");
    }

    #[test]
    fn headers_authentication_and_tls_follow_the_configuration() {
        let headers = [Header { key: "X-Scope-OrgID".into(), value: "tenant".into() }];
        let server = Server { timeout: Some(40), insecure: true, headers: &headers, ..SERVER };
        let request = server.request(&input(), &UP).unwrap();
        assert_eq!((request.timeout, request.skip_tls_verify), (40_000, true));
        assert_eq!((request.headers[0].key.as_str(), request.auth), ("X-Scope-OrgID", Auth::None));
    }

    #[test]
    fn the_default_address_is_the_controllers() {
        for address in [None, Some("")] {
            let server = Server { address, ..SERVER };
            let asked = with_fact(input(), ADDRESS_FACT, "http://default:9090");
            let request = server.request(&asked, &UP).unwrap();
            assert_eq!(request.url, "http://default:9090/api/v1/query?query=up");
        }
    }

    #[test]
    fn without_any_address_the_field_is_reported() {
        let server = Server { address: None, ..SERVER };
        assert!(error_of(server.request(&input(), &UP)).starts_with("address: missing"));
        let asked = with_fact(input(), ADDRESS_FACT, "prometheus:9090");
        assert!(error_of(server.request(&asked, &UP)).starts_with("address: missing, and the controller's default"));
    }

    #[test]
    fn an_impossible_configuration_is_rejected_at_once() {
        let server = Server { address: Some("prometheus:9090"), ..SERVER };
        assert_eq!(server.check(), Err(Error::InvalidConfig("address: not an http or https URL".into())));
        let server = Server { timeout: Some(u64::MAX), ..SERVER };
        assert_eq!(server.check(), Err(Error::InvalidConfig("timeout: at most 2147483647 seconds".into())));
        assert_eq!(SERVER.check(), Ok(()));
    }

    #[test]
    fn a_placeholder_in_the_address_is_left_to_the_host() {
        let server = Server { address: Some("https://user:kulta-secret-0a1b@prometheus"), ..SERVER };
        let request = server.request(&input(), &UP).unwrap();
        assert!(request.url.starts_with("https://user:kulta-secret-0a1b@prometheus/api"), "{}", request.url);
        let server = Server { address: Some("kulta-secret-0a1b"), ..SERVER };
        assert_eq!(server.check(), Ok(()));
        let request = server.request(&input(), &UP).unwrap();
        assert!(request.url.starts_with("kulta-secret-0a1b/api"), "{}", request.url);
    }
}
