//! `kulta plugin record` and `replay`: a call with real answers, and the same call again without a network.
//!
//! A recording has one JSON value per line: the call; each request with its answer, in the format of `kulta controller
//! --analysis-record`; the outcome.

use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use kulta_fetch::Fetcher;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::arguments::{RecordArguments, ReplayArguments};
use super::call::{self, Call};
use super::fetching::{self, Outcome};
use super::json::readable;
use super::{load, run};

/// Only the owner needs access.
const MODE: u32 = 0o700;

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    kind: String,
    config: Value,
    occasion: Value,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Came {
    Answer(Value),
    Failure(String),
}

impl From<Outcome> for Came {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Ok(answer) => Self::Answer(answer),
            Err(why) => Self::Failure(why),
        }
    }
}

/// # Errors
/// As for a run, and if the recording cannot be written.
pub async fn record(arguments: &RecordArguments, out: &mut dyn Write) -> Result<ExitCode> {
    let (kind, call) = run::prepare(&arguments.call).await?;
    let config = arguments.call.config.0.clone();
    let asked = Asked { kind: kind.as_str().to_owned(), config: config.clone(), occasion: call.occasion()? };
    let scratch = Scratch::create()?;
    let fetcher = Fetcher::recording(fetching::settings(), &scratch.requests()).context("record requests")?;
    let outcome = fetching::to_the_end(call, &config, &fetcher, &mut std::io::stderr()).await?;
    let requests = fs::read_to_string(scratch.requests()).context("read what was recorded")?;
    let line = |value: Result<String, serde_json::Error>| value.context("write the tape as JSON");
    let (first, last) =
        (line(serde_json::to_string(&asked))?, line(serde_json::to_string(&Came::from(outcome.clone())))?);
    let written = fs::write(&arguments.output, format!("{first}\n{requests}{last}\n"));
    written.with_context(|| format!("write {}", arguments.output.display()))?;
    run::show(&arguments.call.file, outcome, out)
}

/// The exit code is 1 if the outcome differs from the recorded one.
///
/// # Errors
/// If the component is rejected, or the recording is invalid.
pub async fn replay(arguments: &ReplayArguments, out: &mut dyn Write) -> Result<ExitCode> {
    let Tape { asked, requests, came } = Tape::read(&arguments.tape)?;
    let loaded = load::component(&arguments.file).await?.loaded;
    let named = kulta_wasm::Kind::ALL.into_iter().find(|kind| kind.as_str() == asked.kind);
    let named =
        named.ok_or_else(|| anyhow!("{}: {:?} is not a kind of plugin", arguments.tape.display(), asked.kind))?;
    let kind = call::kind(&loaded, Some(named))
        .with_context(|| format!("{} was recorded with another kind", arguments.tape.display()))?;
    // The recording contains the complete input: the result does not depend on the time of the replay.
    let call = Call::new(&loaded, kind, &asked.occasion, 0).with_context(|| arguments.tape.display().to_string())?;
    let scratch = Scratch::create()?;
    fs::write(scratch.requests(), requests).context("lay out the recorded answers")?;
    let fetcher = Fetcher::replaying(&scratch.requests()).with_context(|| arguments.tape.display().to_string())?;
    let outcome = Came::from(fetching::to_the_end(call, &asked.config, &fetcher, &mut std::io::stderr()).await?);
    let same = shown(&outcome) == shown(&came);
    let said = if same {
        format!("as recorded: {}\n", shown(&outcome))
    } else {
        format!("recorded: {}\nnow:      {}\n", shown(&came), shown(&outcome))
    };
    out.write_all(said.as_bytes()).context("print the outcome")?;
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn shown(came: &Came) -> String {
    match came {
        Came::Answer(answer) => readable(answer.clone()).to_string(),
        Came::Failure(why) => why.clone(),
    }
}

struct Tape {
    asked: Asked,
    /// Complete lines.
    requests: String,
    came: Came,
}

impl Tape {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let lines: Vec<&str> = text.lines().collect();
        let [first, requests @ .., last] = lines.as_slice() else {
            bail!(
                "{}: expected at least two lines, the call and what came of it; found {}; `kulta plugin record` writes such a file",
                path.display(),
                lines.len()
            )
        };
        let wrong = |line: &str, what: &str| format!("{}: the {line} line is not {what}", path.display());
        Ok(Self {
            asked: serde_json::from_str(first)
                .with_context(|| wrong("first", "the call that `kulta plugin record` wrote"))?,
            requests: requests.iter().map(|line| format!("{line}\n")).collect(),
            came: serde_json::from_str(last)
                .with_context(|| wrong("last", "what came of the call; was the recording ended early?"))?,
        })
    }
}

/// A temporary folder for the requests, removed on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn create() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("kulta-tape-{}", uuid::Uuid::new_v4()));
        DirBuilder::new().mode(MODE).create(&path).with_context(|| format!("make the folder {}", path.display()))?;
        Ok(Self(path))
    }

    fn requests(&self) -> PathBuf {
        self.0.join("requests.jsonl")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A remainder in the system's temporary folder is harmless.
        let _ = fs::remove_dir_all(&self.0);
    }
}
