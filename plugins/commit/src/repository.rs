//! A repository, from git's notations of its URL.

use crate::Software;
use std::collections::BTreeMap;

const MAX_URL_BYTES: usize = 1 << 10;
/// DNS' limit.
const MAX_HOST_BYTES: usize = 253;
/// Owner and name; GitLab has up to twenty nested groups before the name.
const FLAT: usize = 2;
const DEEPEST: usize = 21;
/// An abbreviated SHA-1 has at least seven digits, a SHA-256 has 64.
const COMMIT_DIGITS: std::ops::RangeInclusive<usize> = 7..=64;

#[derive(Debug, Clone, PartialEq)]
pub struct Repository {
    /// Without credentials, query, fragment and `.git`; `ssh` becomes `https` if the host is of a known kind.
    pub url: String,
    software: Option<Software>,
}

/// Scheme, host with port, and path of a URL, without its other parts.
#[derive(Debug, PartialEq)]
pub struct Url<'a> {
    pub scheme: Scheme,
    pub host: String,
    port: Option<u16>,
    pub path: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
    Ssh,
}

impl Repository {
    /// `None` for anything but an http, https or ssh URL or git's short form (`git@host:path`).
    pub fn parse(text: &str, hosts: &BTreeMap<String, Software>) -> Option<Self> {
        let url = Url::parse(text)?;
        let path = url.path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let software = software(&url.host, hosts).filter(|software| software.is_repository(path));
        let base = match (url.scheme, software) {
            (Scheme::Ssh, Some(_)) => format!("https://{}", url.host),
            (Scheme::Ssh, None) => format!("ssh://git@{}", url.authority()),
            (Scheme::Http, _) => format!("http://{}", url.authority()),
            (Scheme::Https, _) => format!("https://{}", url.authority()),
        };
        (!path.is_empty()).then(|| Self { url: format!("{base}/{path}"), software })
    }

    /// The commit's page.
    pub fn commit(&self, id: &str) -> Option<String> {
        let digits = id.bytes().all(|byte| byte.is_ascii_hexdigit()) && COMMIT_DIGITS.contains(&id.len());
        let place = match self.software? {
            Software::GitHub => "commit",
            Software::GitLab => "-/commit",
            Software::Bitbucket => "commits",
        };
        digits.then(|| format!("{}/{place}/{id}", self.url))
    }

    /// The pull request's page.
    pub fn pull_request(&self, number: u64) -> Option<String> {
        Some(format!("{}/{}/{number}", self.url, self.software?.pull_requests()))
    }
}

impl Software {
    /// Where pull requests are, below the repository.
    pub fn pull_requests(self) -> &'static str {
        match self {
            Self::GitHub => "pull",
            Self::GitLab => "-/merge_requests",
            Self::Bitbucket => "pull-requests",
        }
    }

    fn is_repository(self, path: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '~');
        let name = |segment: &str| !matches!(segment, "" | "." | ".." | "-") && segment.chars().all(plain);
        let depth = path.split('/').count();
        path.split('/').all(name)
            && match self {
                Self::GitHub | Self::Bitbucket => depth == FLAT,
                Self::GitLab => (FLAT..=DEEPEST).contains(&depth),
            }
    }
}

impl<'a> Url<'a> {
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() > MAX_URL_BYTES || !text.chars().all(|c| c.is_ascii_graphic() && !r#""<>\^`{|}"#.contains(c)) {
            return None;
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Scheme::parse(scheme)?, rest),
            None => return Self::parse_short(text),
        };
        let rest = rest.split(['?', '#']).next()?;
        let (authority, path) = rest.split_once('/')?;
        let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        let (name, port) = match place.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (place, None),
        };
        Self { scheme, host: host(name)?, port, path }.without_at()
    }

    /// `git@host:path`, git's short form for ssh.
    fn parse_short(text: &'a str) -> Option<Self> {
        let (place, path) = text.split_once(':')?;
        let (_, name) = place.split_once('@')?;
        let path = path.split(['?', '#']).next()?;
        Self { scheme: Scheme::Ssh, host: host(name)?, port: None, path }.without_at()
    }

    /// An `@` after the host is probably the end of a password with a slash in it.
    fn without_at(self) -> Option<Self> {
        (!self.path.contains('@')).then_some(self)
    }

    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }
}

impl Scheme {
    /// The prefix `git+` sets the protocol, not the URL.
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        match text.strip_prefix("git+").unwrap_or(&text) {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            "ssh" => Some(Self::Ssh),
            _ => None,
        }
    }
}

/// The host's name in lower case.
pub fn host(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let label = |label: &str| !label.is_empty() && label.chars().all(plain);
    (name.len() <= MAX_HOST_BYTES && name.split('.').all(label)).then(|| name.to_ascii_lowercase())
}

/// The software of this host: as configured, or by its name.
pub fn software(host: &str, hosts: &BTreeMap<String, Software>) -> Option<Software> {
    let by_name = || match host.split('.').next() {
        Some("github") => Some(Software::GitHub),
        Some("gitlab") => Some(Software::GitLab),
        // Other hosts whose name begins with bitbucket are Data Centers.
        Some("bitbucket") if host == "bitbucket.org" => Some(Software::Bitbucket),
        _ => None,
    };
    hosts.get(host).copied().or_else(by_name)
}
