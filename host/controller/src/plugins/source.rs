//! From a Plugin's source to the bytes of a component.

use std::fs::File;
use std::io::{self, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kulta_api::plugin::{ConfigMapSource, LocalSecret, OciSource, PluginReason, PluginSpec};
use kulta_oci::{Client, Credentials, Digest, DockerConfig, Proof, Pulled, Reference, TrustedKeys};
use serde_json::Value;
use thiserror::Error;

use super::component_store::{ComponentStore, digest_of};
use crate::api_error::{ApiErrorClass, error_message};
use crate::cluster::Cluster;
use crate::key::Key;
use crate::kinds::Kind;

/// The key of a pull Secret.
const DOCKER_CONFIG: &str = ".dockerconfigjson";
/// Why what cannot carry a signature is not taken.
const ONLY_SIGNED: &str =
    "the controller takes only what a trusted key has signed (--plugin-trusted-keys), which an image can be: use oci";

/// Why there is no component.
#[derive(Debug, Error)]
pub enum SourceError {
    #[error("{path}: {why}")]
    InvalidSpec { path: String, why: String },
    #[error(
        "spec.digest: an image by its tag may hold something else tomorrow; write the digest (sha256:…) of {image}, or have the controller allow tags"
    )]
    DigestRequired { image: String },
    #[error("spec.digest: the component is {found}, not {expected}")]
    DigestMismatch { expected: String, found: String },
    /// No key that the controller trusts has signed it; somebody may sign it yet.
    #[error("{path}: {why}")]
    Unsigned { path: String, why: String },
    /// It cannot carry a signature, and only what is signed is taken.
    #[error("{path}: {ONLY_SIGNED}")]
    Unsignable { path: String },
    /// It may be available later.
    #[error("{path}: {why}")]
    Unavailable { path: String, why: String },
    /// Trying again cannot help.
    #[error("{path}: {why}")]
    Refused { path: String, why: String },
}

impl SourceError {
    #[must_use]
    pub const fn reason(&self) -> PluginReason {
        match self {
            Self::InvalidSpec { .. } => PluginReason::InvalidSpec,
            Self::DigestRequired { .. } => PluginReason::DigestRequired,
            Self::DigestMismatch { .. } => PluginReason::DigestMismatch,
            Self::Unsigned { .. } | Self::Unsignable { .. } => PluginReason::Unsigned,
            Self::Unavailable { .. } => PluginReason::SourceUnavailable,
            Self::Refused { .. } => PluginReason::SourceRefused,
        }
    }

    /// Whether it may succeed later without a change of the Plugin.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unsigned { .. } | Self::Unavailable { .. })
    }
}

/// A component from a source.
#[derive(Debug)]
pub struct Fetched {
    pub component: Vec<u8>,
    /// `sha256:` and hex, of the component.
    pub digest: String,
    /// For an image: the manifest's digest, and the image that it was resolved from.
    pub resolved: Option<(String, String)>,
    /// For an image that was pulled just now, where only signed ones are taken.
    pub proof: Option<Proof>,
}

/// What an earlier reconciliation has found.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub digest: String,
    pub resolved: String,
    pub resolved_image: String,
}

/// Where components come from.
pub struct Sources {
    pub registries: Client,
    pub cluster: Cluster,
    /// The controller's own: pull Secrets are there.
    pub namespace: String,
    /// Images may be named by tag alone.
    pub allow_tags: bool,
    /// Bytes of a file or a ConfigMap that are read.
    pub component_limit: usize,
    /// One of these has to have signed whatever is served; None: it is taken by its digest alone.
    pub trusted: Option<TrustedKeys>,
    pub store: Option<ComponentStore>,
}

impl Sources {
    /// The component that a spec names. A component that is known and on disk is not requested again.
    ///
    /// # Errors
    /// Why there is none, by the field that is at fault.
    pub async fn fetch(&self, spec: &PluginSpec, known: &Known) -> Result<Fetched, SourceError> {
        let source = &spec.source;
        if let Some(oci) = &source.oci {
            return self.image(oci, spec.digest.as_deref(), known).await;
        }
        if self.trusted.is_some() {
            let field = if source.file.is_some() { "file" } else { "configMap" };
            return Err(SourceError::Unsignable { path: format!("spec.source.{field}") });
        }
        let component = match (&source.file, &source.config_map) {
            (Some(file), _) => self.file(file).await?,
            (None, Some(config_map)) => self.config_map(config_map).await?,
            (None, None) => {
                let why = "must hold one of oci, file and configMap".to_owned();
                return Err(SourceError::InvalidSpec { path: "spec.source".to_owned(), why });
            }
        };
        let digest = digest_of(&component);
        match &spec.digest {
            Some(expected) if *expected != digest => {
                Err(SourceError::DigestMismatch { expected: expected.clone(), found: digest })
            }
            _ => Ok(Fetched { component, digest, resolved: None, proof: None }),
        }
    }

    /// The component of a digest that something in progress began with: from disk, else from where the spec's image is.
    ///
    /// # Errors
    /// Why it is not available.
    pub async fn earlier(&self, spec: &PluginSpec, digest: &str) -> Result<Vec<u8>, SourceError> {
        if let Some(component) = self.stored(digest) {
            return Ok(component);
        }
        let path = "spec.source".to_owned();
        let Some(oci) = &spec.source.oci else {
            return Err(SourceError::Refused {
                path,
                why: "it is not kept on disk, and only registries keep old ones".to_owned(),
            });
        };
        if self.trusted.is_some() {
            // A signature is of a manifest, and only the component's digest is known.
            let why = "no proof that a trusted key has signed it is kept on disk".to_owned();
            return Err(SourceError::Refused { path, why });
        }
        let (reference, credentials) = self.registry(oci).await?;
        let digest: Digest =
            digest.parse().map_err(|error| SourceError::Refused { path, why: format!("{digest:?}: {error}") })?;
        self.registries
            .pull_component(&reference, &digest, &credentials)
            .await
            .map(|component| component.to_vec())
            .map_err(|error| oci_error("spec.source.oci.image", &error))
    }

    /// Stores a component that was accepted, so that a restart needs no registry.
    pub fn store_component(&self, Fetched { digest, component, proof, .. }: &Fetched) {
        let Some(store) = &self.store else { return };
        let kept = match proof {
            Some(proof) => store.keep_proof(digest, proof).and_then(|()| store.keep(digest, component)),
            None => store.keep(digest, component),
        };
        if let Err(error) = kept {
            tracing::warn!(digest, "a component is not kept on disk: {error}");
        }
    }

    /// A component that was good before, if it is on disk and, where only signed ones are taken, so is a proof by today's keys.
    pub fn stored(&self, digest: &str) -> Option<Vec<u8>> {
        let store = self.store.as_ref()?;
        if let Some(keys) = &self.trusted {
            let proof = store.proof(digest)?;
            if let Err(error) = keys.verify_proof(&proof, &digest.parse().ok()?) {
                tracing::warn!(digest, "a component on disk is not served: its signature: {error}");
                return None;
            }
        }
        store.find(digest)
    }

    async fn image(&self, oci: &OciSource, digest: Option<&str>, known: &Known) -> Result<Fetched, SourceError> {
        const PATH: &str = "spec.source.oci.image";
        let (reference, credentials) = self.registry(oci).await?;
        let wanted: Option<Digest> = match digest {
            Some(digest) => Some(digest.parse().map_err(|error: kulta_oci::DigestError| SourceError::InvalidSpec {
                path: "spec.digest".to_owned(),
                why: error.to_string(),
            })?),
            None => reference.digest().cloned(),
        };
        // A tag counts once: what it was resolved to is what it means here.
        let resolved = match wanted {
            Some(digest) => digest,
            None if known.resolved_image == oci.image && !known.resolved.is_empty() => {
                known.resolved.parse().map_err(|error: kulta_oci::DigestError| SourceError::Refused {
                    path: "status.resolved".to_owned(),
                    why: error.to_string(),
                })?
            }
            None if !self.allow_tags => return Err(SourceError::DigestRequired { image: oci.image.clone() }),
            None => {
                let found = self.registries.resolve(&reference, &credentials).await;
                found.map_err(|error| oci_error(PATH, &error))?
            }
        };
        let resolution = Some((resolved.to_string(), oci.image.clone()));
        if known.resolved == resolved.to_string()
            && let Some(component) = self.stored(&known.digest)
        {
            return Ok(Fetched { component, digest: known.digest.clone(), resolved: resolution, proof: None });
        }
        let signature = match &self.trusted {
            Some(keys) => {
                let found = self.registries.signature(&reference, &resolved, keys, &credentials).await;
                Some(found.map_err(|error| oci_error(PATH, &error))?)
            }
            None => None,
        };
        let pulled = self.registries.pull(&reference, Some(&resolved), &credentials).await;
        let Pulled { component, layer, document, .. } = pulled.map_err(|error| oci_error(PATH, &error))?;
        let proof = signature
            .map(|signature| String::from_utf8(document.to_vec()).map(|manifest| Proof { manifest, signature }))
            .transpose()
            .map_err(|error| SourceError::Refused { path: PATH.to_owned(), why: error.to_string() })?;
        Ok(Fetched { component: component.to_vec(), digest: layer.to_string(), resolved: resolution, proof })
    }

    async fn registry(&self, oci: &OciSource) -> Result<(Reference, Credentials), SourceError> {
        let reference: Reference = oci.image.parse().map_err(|error: kulta_oci::ReferenceError| {
            SourceError::InvalidSpec { path: "spec.source.oci.image".to_owned(), why: error.to_string() }
        })?;
        for (index, LocalSecret { name }) in oci.pull_secrets.iter().enumerate() {
            let path = format!("spec.source.oci.pullSecrets[{index}]");
            let config = self.docker_config(&path, name).await?;
            let found = config.credentials(&reference).map_err(|error| SourceError::Refused {
                path: path.clone(),
                why: format!("Secret {}/{name}: {error}", self.namespace),
            })?;
            if let Some(credentials) = found {
                return Ok((reference, credentials));
            }
        }
        Ok((reference, Credentials::Anonymous))
    }

    async fn docker_config(&self, path: &str, name: &str) -> Result<DockerConfig, SourceError> {
        let refused = |why: String| SourceError::Refused { path: path.to_owned(), why };
        let secret = self.object(path, Kind::Secret, &Key::new(&self.namespace, name)).await?;
        let encoded = secret.pointer("/data").and_then(|data| data.get(DOCKER_CONFIG)).and_then(Value::as_str);
        let encoded =
            encoded.ok_or_else(|| refused(format!("Secret {}/{name} has no key {DOCKER_CONFIG}", self.namespace)))?;
        let bytes =
            STANDARD.decode(encoded).map_err(|error| refused(format!("Secret {}/{name}: {error}", self.namespace)))?;
        DockerConfig::parse(&bytes).map_err(|error| refused(format!("Secret {}/{name}: {error}", self.namespace)))
    }

    async fn file(&self, path: &str) -> Result<Vec<u8>, SourceError> {
        let failed = |error: io::Error| {
            let (path, why) = ("spec.source.file".to_owned(), format!("{path}: {error}"));
            match error.kind() {
                // A volume may be mounted later.
                io::ErrorKind::NotFound => SourceError::Unavailable { path, why },
                _ => SourceError::Refused { path, why },
            }
        };
        // One more than is accepted, so that loading says how large is too large.
        let most = u64::try_from(self.component_limit).unwrap_or(u64::MAX).saturating_add(1);
        let owned = path.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let mut component = Vec::new();
            File::open(owned)?.take(most).read_to_end(&mut component)?;
            Ok(component)
        });
        let component = read.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)?;
        Ok(component)
    }

    async fn config_map(&self, source: &ConfigMapSource) -> Result<Vec<u8>, SourceError> {
        const PATH: &str = "spec.source.configMap";
        let ConfigMapSource { namespace, name, key } = source;
        let object = self.object(PATH, Kind::ConfigMap, &Key::new(namespace, name)).await?;
        let encoded = object.pointer("/binaryData").and_then(|data| data.get(key)).and_then(Value::as_str);
        let path = format!("{PATH}.key");
        let Some(encoded) = encoded else {
            let why = format!(
                "ConfigMap {namespace}/{name} has no key {key:?} under binaryData; a component above 1 MiB does not fit into a \
                 ConfigMap: use oci"
            );
            return Err(SourceError::Refused { path, why });
        };
        STANDARD.decode(encoded).map_err(|error| SourceError::Refused { path, why: error.to_string() })
    }

    async fn object(&self, path: &str, kind: Kind, key: &Key) -> Result<Value, SourceError> {
        match self.cluster.get(kind, key).await {
            Ok(object) => Ok(object.json),
            Err(error) => {
                let (path, why) = (path.to_owned(), error_message(&error));
                Err(match ApiErrorClass::of(&error) {
                    // It may be made later, and the right be given.
                    ApiErrorClass::Gone
                    | ApiErrorClass::Forbidden
                    | ApiErrorClass::TooMany
                    | ApiErrorClass::Transient => SourceError::Unavailable { path, why },
                    ApiErrorClass::Conflict | ApiErrorClass::Invalid => SourceError::Refused { path, why },
                })
            }
        }
    }
}

fn oci_error(path: &str, error: &kulta_oci::Error) -> SourceError {
    let (path, why) = (path.to_owned(), error.to_string());
    match error.class() {
        kulta_oci::Class::Unsigned => SourceError::Unsigned { path, why },
        // Somebody may push it, or give the right to it, without touching the Plugin.
        class if class.may_pass() => SourceError::Unavailable { path, why },
        kulta_oci::Class::Gone | kulta_oci::Class::Unauthorized | kulta_oci::Class::Forbidden => {
            SourceError::Unavailable { path, why }
        }
        _ => SourceError::Refused { path, why },
    }
}
