//! The API server's audit log: the reliable count of a controller's requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;

/// The audit log from a position on.
#[derive(Debug, Clone)]
pub struct Audit {
    log: PathBuf,
    mark: u64,
}

/// One request, once (a watch when its response began).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    pub user: String,
    pub user_agent: String,
    pub verb: String,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub uri: String,
    pub code: u16,
    /// RFC 3339, when the API server received the request.
    pub at: String,
}

impl Request {
    pub fn is_watch(&self) -> bool {
        self.verb == "watch"
    }

    pub fn is_read(&self) -> bool {
        self.verb == "get" || self.verb == "list"
    }

    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }

    /// A Kubernetes Event, of either group.
    pub fn is_event(&self) -> bool {
        self.resource == "events"
    }

    pub fn is_lease(&self) -> bool {
        self.resource == "leases"
    }

    /// `rollouts/status`, or `rollouts`.
    pub fn what(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

impl Audit {
    /// Counts requests from now on.
    pub fn now(log: &Path) -> Result<Self> {
        let mark = std::fs::metadata(log).with_context(|| format!("look at {}", log.display()))?.len();
        Ok(Self { log: log.to_path_buf(), mark })
    }

    /// All requests since the start of the cluster.
    pub fn from_the_start(log: &Path) -> Self {
        Self { log: log.to_path_buf(), mark: 0 }
    }

    /// Every request since the mark. A request is in the log before its client has the answer.
    pub fn requests(&self) -> Result<Vec<Request>> {
        let mut file = File::open(&self.log).context("open the audit log")?;
        file.seek(SeekFrom::Start(self.mark)).context("find the mark in the audit log")?;
        let mut text = String::new();
        file.read_to_string(&mut text).context("read the audit log")?;
        let mut watches = BTreeSet::new();
        let mut found = Vec::new();
        // A last line without an end is still being written.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let entry: Value = serde_json::from_str(line).context("read a line of the audit log")?;
            let request = request(&entry);
            // A watch is logged when it begins and when it ends; a rejected one only when it ends.
            let id = entry.get("auditID").and_then(Value::as_str).unwrap_or_default();
            let began = entry.get("stage").and_then(Value::as_str) == Some("ResponseStarted");
            if began && !request.is_watch() {
                continue;
            }
            if request.is_watch() && !watches.insert(id.to_owned()) {
                continue;
            }
            found.push(request);
        }
        Ok(found)
    }

    /// Requests of clients whose user agent starts with `agent`.
    pub fn of_agent(&self, agent: &str) -> Result<Tally> {
        Ok(Tally(self.requests()?.into_iter().filter(|request| request.user_agent.starts_with(agent)).collect()))
    }

    /// Requests of a user, such as `system:serviceaccount:kulta-system:kulta`.
    pub fn of_user(&self, user: &str) -> Result<Tally> {
        Ok(Tally(self.requests()?.into_iter().filter(|request| request.user == user).collect()))
    }
}

fn request(entry: &Value) -> Request {
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let code = entry.pointer("/responseStatus/code").and_then(Value::as_u64).and_then(|code| code.try_into().ok());
    Request {
        user: text("/user/username"),
        user_agent: text("/userAgent"),
        verb: text("/verb"),
        group: text("/objectRef/apiGroup"),
        resource: text("/objectRef/resource"),
        subresource: text("/objectRef/subresource"),
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        uri: text("/requestURI"),
        code: code.unwrap_or_default(),
        at: text("/requestReceivedTimestamp"),
    }
}

/// Requests to count.
#[derive(Debug, Clone, Default)]
pub struct Tally(pub Vec<Request>);

impl Tally {
    pub fn in_namespace(&self, namespace: &str) -> Self {
        self.only(|request| request.namespace == namespace)
    }

    pub fn only(&self, wanted: impl Fn(&Request) -> bool) -> Self {
        Self(self.0.iter().filter(|request| wanted(request)).cloned().collect())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes except Kubernetes Events and Leases.
    pub fn writes(&self) -> Self {
        self.only(|request| request.is_write() && !request.is_event() && !request.is_lease())
    }

    /// Writes of Kubernetes Events.
    pub fn events(&self) -> Self {
        self.only(|request| request.is_write() && request.is_event())
    }

    /// GET and LIST, except of Leases.
    pub fn reads(&self) -> Self {
        self.only(|request| request.is_read() && !request.is_lease())
    }

    /// Requests that RBAC denied.
    pub fn forbidden(&self) -> Self {
        self.only(|request| request.code == 403)
    }

    /// Requests except watches and Leases: none from an idle controller.
    pub fn beside_watches_and_leases(&self) -> Self {
        self.only(|request| !request.is_watch() && !request.is_lease())
    }

    /// Verb and resource with their counts.
    pub fn by_kind(&self) -> BTreeMap<(String, String), usize> {
        let mut counts = BTreeMap::new();
        for request in &self.0 {
            *counts.entry((request.verb.clone(), request.what())).or_default() += 1;
        }
        counts
    }

    /// Every (API group, resource or resource/subresource, verb) that was used, for comparison with the permissions.
    pub fn used(&self) -> BTreeSet<(String, String, String)> {
        self.0.iter().map(|request| (request.group.clone(), request.what(), request.verb.clone())).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests", self.len())?;
        for ((verb, what), count) in self.by_kind() {
            write!(f, "\n  {count:>6}  {verb} {what}")?;
        }
        Ok(())
    }
}
