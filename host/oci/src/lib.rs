//! Plugins in OCI registries: pull and push of components as CNCF Wasm OCI artifacts.
//!
//! Like `kulta-fetch`, this crate uses reqwest. `kulta-fetch` makes requests that plugins return, to granted URLs; this
//! crate makes requests to registries that the cluster's admin named, with separate credentials, certificates and
//! limits. `oci-client` has no limits for manifests, tokens, error texts and time, and follows redirects by itself.
//!
//! This crate installs no TLS provider; the process does that once, at its start.

mod artifact;
mod challenge;
mod client;
mod credentials;
mod digest;
mod error;
mod error_response;
#[cfg(feature = "fixtures")]
pub mod fixtures;
mod push;
mod reference;
mod session;
mod settings;
mod signatures;
mod transport;
mod trust;

pub use artifact::Artifact;
pub use client::{Client, Pulled};
pub use credentials::{Credentials, DockerConfig, DockerConfigError};
pub use digest::{Digest, DigestError};
pub use error::{Class, Error};
pub use reference::{Reference, ReferenceError};
pub use settings::{Settings, SettingsError};
pub use trust::{Distrust, KeyError, Proof, Signature, TrustedKeys};
