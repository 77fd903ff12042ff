//! `kulta plugin push` and `pull`: components in registries, as CNCF Wasm artifacts.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;
use kulta_oci::{Artifact, Client, Credentials, DockerConfig, Reference, Settings};
use kulta_wasm::{Kind, Loaded};

use super::arguments::{PullArguments, PushArguments, RegistryArguments};
use super::load::{self, Component};
use crate::plugins::trusted_keys;
use crate::proxies;

/// Environment variable with the folder of docker's configuration.
const DOCKER_CONFIG: &str = "DOCKER_CONFIG";
const DOCKER_FOLDER: &str = ".docker";
const TRUSTED_KEYS_FLAG: &str = "--trusted-keys";
const DOCKER_FILE: &str = "config.json";
/// For reproducible builds: <https://reproducible-builds.org/specs/source-date-epoch/>.
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// # Errors
/// If the controller would reject the component, or the registry rejects it.
pub async fn push(arguments: &PushArguments, out: &mut dyn Write) -> Result<ExitCode> {
    let Component { bytes, loaded } = load::component(&arguments.file).await?;
    if arguments.image.digest().is_some() || arguments.image.tag().is_none() {
        bail!("{}: expected a tag after the repository, such as \":1.0.0\"", arguments.image);
    }
    let artifact = Artifact {
        component: bytes.into(),
        created: created(&arguments.file)?,
        exports: loaded.exports().to_vec(),
        imports: loaded.imports().to_vec(),
        target: world(&loaded),
    };
    let credentials = credentials(&arguments.image)?;
    let client = client(&arguments.image, &arguments.registry)?;
    let digest = client.push(&arguments.image, &artifact, &credentials).await?;
    let plain = format!("{}/{}", arguments.image.registry(), arguments.image.repository());
    write!(
        out,
        "{digest}\n\nIn the Plugin object:\nspec:\n  source:\n    oci:\n      image: {plain}\n  digest: {digest}\n"
    )
    .context("print the digest")?;
    Ok(ExitCode::SUCCESS)
}

/// # Errors
/// If the registry does not have it, no trusted key has signed it, or the file cannot be written.
pub async fn pull(arguments: &PullArguments, out: &mut dyn Write) -> Result<ExitCode> {
    let credentials = credentials(&arguments.image)?;
    let client = client(&arguments.image, &arguments.registry)?;
    let signed = match trusted_keys(TRUSTED_KEYS_FLAG, arguments.trusted_keys.as_deref())? {
        Some(keys) => {
            let digest = client.resolve(&arguments.image, &credentials).await?;
            client.signature(&arguments.image, &digest, &keys, &credentials).await?;
            Some(digest)
        }
        None => None,
    };
    let pulled = client.pull(&arguments.image, signed.as_ref(), &credentials).await?;
    fs::write(&arguments.output, &pulled.component).with_context(|| format!("write {}", arguments.output.display()))?;
    writeln!(out, "{}", pulled.manifest).context("print the digest")?;
    Ok(ExitCode::SUCCESS)
}

fn client(image: &Reference, registry: &RegistryArguments) -> Result<Client> {
    let plain_http = registry.plain_http.then(|| image.registry().to_owned()).into_iter().collect();
    let proxy = Some(proxies::of_process()?.to_reqwest());
    Client::new(Settings { plain_http, proxy, ..Settings::default() }).context("set up requests to registries")
}

/// The world of its kind, in the version that it exports; `None` for a component of several kinds.
fn world(loaded: &Loaded) -> Option<String> {
    let [kind] = loaded.kinds() else { return None };
    let exported = |name: &String| name.strip_prefix(kind.interface()).map(|version| target(*kind, version));
    loaded.exports().iter().find_map(exported)
}

fn target(kind: Kind, version: &str) -> String {
    format!("{}-plugin{version}", kind.interface())
}

/// The file's own time, because it is part of the digest: pushing the same file twice gives one artifact.
fn created(file: &Path) -> Result<Timestamp> {
    let seconds = match std::env::var(SOURCE_DATE_EPOCH) {
        Ok(text) => {
            text.parse().map_err(|_| anyhow!("{SOURCE_DATE_EPOCH}: expected seconds since 1970, found {text:?}"))?
        }
        Err(_) => {
            let modified = fs::metadata(file).and_then(|file| file.modified());
            let modified = modified.with_context(|| format!("read the time of {}", file.display()))?;
            Timestamp::try_from(modified).context("the file's time is out of range")?.as_second()
        }
    };
    Timestamp::from_second(seconds).with_context(|| format!("{seconds} s since 1970 is out of range"))
}

/// Docker's credentials for the registry; none on a machine without docker.
fn credentials(image: &Reference) -> Result<Credentials> {
    let Some(path) = docker_config() else { return Ok(Credentials::Anonymous) };
    let config = match fs::read(&path) {
        Ok(config) => config,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Credentials::Anonymous),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let config = DockerConfig::parse(&config).and_then(|config| config.credentials(image));
    Ok(config.with_context(|| path.display().to_string())?.unwrap_or_default())
}

fn docker_config() -> Option<PathBuf> {
    let folder = std::env::var_os(DOCKER_CONFIG).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(DOCKER_FOLDER));
    folder.or_else(home).map(|folder| folder.join(DOCKER_FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_the_world_of_the_kind_in_the_version_that_is_exported() {
        assert_eq!(target(Kind::Analyzer, "@0.1.0"), "kulta:plugin/analyzer-plugin@0.1.0");
    }
}
