//! The permissions of one plugin, where they are narrower than the settings.

use std::fmt;

use reqwest::Url;
use reqwest::header::HeaderMap;

use crate::call::shown;
use crate::http::header_map;
use crate::in_flight::KeyParts;
use crate::mask::Mask;
use crate::request::Failure;
use crate::settings::UrlPrefix;

/// One of these must cover each hop of a request, in place of the settings' URL prefixes. Addresses that the settings
/// deny stay denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    pub grants: Vec<Right>,
    /// Bytes of an answer's body, if this is less than the settings' limit.
    pub body_limit: usize,
}

/// Permission for requests below one URL.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Right {
    /// Without a URL, it covers nothing.
    pub prefix: Option<UrlPrefix>,
    /// Headers that are added to these requests only, and replace the plugin's own of the same name. Redacted in
    /// answers.
    pub headers: Vec<(String, String)>,
    /// Accepts any certificate of the server.
    pub skip_tls_verify: bool,
}

/// Header values are not logged.
impl fmt::Debug for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Right")
            .field("prefix", &self.prefix)
            .field("headers", &headers)
            .field("skip_tls_verify", &self.skip_tls_verify)
            .finish()
    }
}

impl Rights {
    /// The grant that covers a URL.
    pub(crate) fn of(&self, url: &Url) -> Result<&Right, Failure> {
        let covers = |right: &&Right| right.prefix.as_ref().is_some_and(|prefix| prefix.covers(url));
        self.grants
            .iter()
            .find(covers)
            .ok_or_else(|| Failure::Denied(format!("{} is covered by none of the plugin's grants", shown(url))))
    }

    pub(crate) fn mask(&self) -> Mask {
        Mask::of(self.grants.iter().flat_map(|right| right.headers.iter().map(|(_, value)| value.as_str())))
    }

    /// Requests with different permissions are not equal.
    pub(crate) fn add_to(&self, key: &mut KeyParts) {
        for right in &self.grants {
            key.add(right.prefix.as_ref().map(ToString::to_string).unwrap_or_default());
            key.add([u8::from(right.skip_tls_verify)]).add_pairs(&right.headers);
        }
        key.add(self.body_limit.to_be_bytes());
    }
}

impl Right {
    /// Adds the granted headers to a request.
    pub(crate) fn equip(&self, headers: &mut HeaderMap) -> Result<(), Failure> {
        let granted = header_map(&self.headers).map_err(|name| {
            Failure::Failed(format!("the granted header {name:?} cannot be sent: HTTP has no such name or value"))
        })?;
        for (name, value) in &granted {
            let mut value = value.clone();
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        Ok(())
    }
}
