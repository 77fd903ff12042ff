//! The proxies of commands that are no controller: from the environment alone.

use anyhow::{Context, Result};
use kulta_fetch::Proxies;

/// # Errors
/// If one of the variables is invalid.
pub fn of_process() -> Result<Proxies> {
    let variable =
        |names: [&str; 2]| names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let http = variable(["HTTP_PROXY", "http_proxy"]);
    let https = variable(["HTTPS_PROXY", "https_proxy"]);
    let none = variable(["NO_PROXY", "no_proxy"]);
    Proxies::new(http.as_deref(), https.as_deref(), none.as_deref().unwrap_or_default())
        .context("read the proxies of the environment")
}
