//! Records answers to a file, one JSON object per line, and replays them. The file contains no secret.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::in_flight::locked;
use crate::mask::MASK;
use crate::request::{Auth, Failure, Request, Response};
use crate::secrets::Secrets;

/// Headers that contain credentials even without a declared secret.
const SENSITIVE: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
/// Characters of a body that identify a request that was not recorded.
const NAMING_CHARS: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// Lines count from 1.
    #[error("{}: line {line} is not a record of a request and its answer: {reason}", path.display())]
    Line { path: PathBuf, line: usize, reason: String },
}

#[derive(Serialize, Deserialize)]
struct Record {
    request: Asked,
    #[serde(flatten)]
    outcome: Outcome,
}

/// The key of a recorded answer: the plugin's whole request except the timeout, with `***` for secrets.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Content,
    auth: AskedAuth,
    skip_tls_verify: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AskedAuth {
    None,
    Basic { username: String },
    OAuth2 { token_url: String, client_id: String, scopes: Vec<String> },
    SigV4 { region: String },
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    Response {
        status: u16,
        headers: Vec<(String, String)>,
        body: Content,
    },
    Denied(String),
    Timeout,
    /// Bytes.
    TooLarge(u64),
    Failed(String),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Content {
    Text(String),
    Base64(String),
}

pub(crate) struct Recorder {
    path: PathBuf,
    file: Mutex<File>,
}

/// Answers to the same request are returned in recorded order; the last one is repeated.
pub(crate) struct Replay {
    path: PathBuf,
    answers: Mutex<HashMap<String, VecDeque<Outcome>>>,
}

impl Recorder {
    pub fn append_to(path: &Path) -> Result<Self, TapeError> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|source| TapeError::File { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file) })
    }

    /// An answer that cannot be recorded is a failure: an incomplete recording would replay differently.
    pub fn record(
        &self,
        request: &Request,
        secrets: &Secrets,
        outcome: Result<Response, Failure>,
    ) -> Result<Response, Failure> {
        let record = Record { request: Asked::of(request, secrets), outcome: Outcome::of(&outcome) };
        let written = serde_json::to_string(&record)
            .map_err(std::io::Error::from)
            .and_then(|line| locked(&self.file).write_all(format!("{line}\n").as_bytes()));
        match written {
            Ok(()) => outcome,
            Err(error) => Err(Failure::Failed(format!("recording to {}: {error}", self.path.display()))),
        }
    }
}

impl Replay {
    pub fn read(path: &Path) -> Result<Self, TapeError> {
        let file_error = |source| TapeError::File { path: path.to_owned(), source };
        let mut answers: HashMap<_, VecDeque<_>> = HashMap::new();
        for (number, line) in BufReader::new(File::open(path).map_err(file_error)?).lines().enumerate() {
            let line = line.map_err(file_error)?;
            let line_error = |reason| TapeError::Line { path: path.to_owned(), line: number + 1, reason };
            let record: Record = serde_json::from_str(&line).map_err(|error| line_error(error.to_string()))?;
            // Decoded once here, so that it cannot fail later.
            record.outcome.clone().into_outcome().map_err(line_error)?.ok();
            answers.entry(record.request.name()).or_default().push_back(record.outcome);
        }
        Ok(Self { path: path.to_owned(), answers: Mutex::new(answers) })
    }

    pub fn answer(&self, request: &Request, secrets: &Secrets) -> Result<Response, Failure> {
        let asked = Asked::of(request, secrets);
        let mut answers = locked(&self.answers);
        let outcome = answers
            .get_mut(&asked.name())
            .and_then(|answers| if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() });
        let unknown = || {
            let body: String = asked.body.text().chars().take(NAMING_CHARS).collect();
            let what = format!("{} {} {body}", asked.method, asked.url);
            format!("{} has no answer to {}", self.path.display(), what.trim_end())
        };
        outcome.ok_or_else(unknown).and_then(Outcome::into_outcome).unwrap_or_else(|why| Err(Failure::Failed(why)))
    }
}

impl Asked {
    fn of(request: &Request, secrets: &Secrets) -> Self {
        let header = |(name, value): &(String, String)| {
            let sensitive = SENSITIVE.iter().any(|known| known.eq_ignore_ascii_case(name));
            (name.clone(), if sensitive { MASK.to_owned() } else { secrets.hide(value) })
        };
        let body = match std::str::from_utf8(&request.body) {
            Ok(text) => Content::Text(secrets.hide(text)),
            Err(_) => Content::of(&secrets.masking().bytes(&request.body)),
        };
        let auth = match &request.auth {
            Auth::None => AskedAuth::None,
            Auth::Basic(basic) => AskedAuth::Basic { username: secrets.hide(&basic.username) },
            Auth::OAuth2(grant) => AskedAuth::OAuth2 {
                token_url: hide_url(&grant.token_url, secrets),
                client_id: secrets.hide(&grant.client_id),
                scopes: grant.scopes.iter().map(|scope| secrets.hide(scope)).collect(),
            },
            Auth::SigV4(region) => AskedAuth::SigV4 { region: secrets.hide(region) },
        };
        Self {
            method: request.method.clone(),
            url: hide_url(&request.url, secrets),
            headers: request.headers.iter().map(header).collect(),
            body,
            auth,
            skip_tls_verify: request.skip_tls_verify,
        }
    }

    fn name(&self) -> String {
        // A struct of strings and booleans is always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Removes a password too, even if the user wrote it in plain text.
fn hide_url(url: &str, secrets: &Secrets) -> String {
    let hidden = secrets.hide(url);
    match Url::parse(&hidden) {
        Ok(mut parsed) if parsed.password().is_some() => match parsed.set_password(Some(MASK)) {
            Ok(()) => parsed.into(),
            Err(()) => hidden,
        },
        _ => hidden,
    }
}

impl Outcome {
    fn of(outcome: &Result<Response, Failure>) -> Self {
        match outcome {
            Ok(Response { status, headers, body }) => {
                Self::Response { status: *status, headers: headers.clone(), body: Content::of(body) }
            }
            Err(Failure::Denied(why)) => Self::Denied(why.clone()),
            Err(Failure::Timeout) => Self::Timeout,
            Err(Failure::TooLarge(limit)) => Self::TooLarge(*limit),
            Err(Failure::Failed(why)) => Self::Failed(why.clone()),
        }
    }

    /// # Errors
    /// If the body is not valid base64.
    fn into_outcome(self) -> Result<Result<Response, Failure>, String> {
        Ok(match self {
            Self::Response { status, headers, body } => Ok(Response { status, headers, body: body.into_bytes()? }),
            Self::Denied(why) => Err(Failure::Denied(why)),
            Self::Timeout => Err(Failure::Timeout),
            Self::TooLarge(limit) => Err(Failure::TooLarge(limit)),
            Self::Failed(why) => Err(Failure::Failed(why)),
        })
    }
}

impl Content {
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(STANDARD.encode(bytes)),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Base64(text) => text,
        }
    }

    fn into_bytes(self) -> Result<Bytes, String> {
        match self {
            Self::Text(text) => Ok(text.into()),
            Self::Base64(text) => STANDARD.decode(text).map(Bytes::from).map_err(|error| error.to_string()),
        }
    }
}
