//! Functions that the sink and the plugins' requests share.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const USER_AGENT: &str = concat!("kulta/", env!("CARGO_PKG_VERSION"));
/// Below the minute after which common load balancers silently drop an idle connection.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// # Errors
/// The name of the first header that is invalid in HTTP.
pub(crate) fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, &str> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let (Ok(key), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            return Err(name);
        };
        map.append(key, value);
    }
    Ok(map)
}

/// The error and its causes in one line, without the URL.
pub(crate) fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut line = error.to_string();
    for cause in causes(&error) {
        line.push_str(&format!(": {cause}"));
    }
    line
}

/// The causes of an error, outermost first.
pub(crate) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&'a (dyn Error + 'static)| (*cause).source())
}
