//! Plugins in OCI registries: pull and push of components as CNCF Wasm OCI artifacts.
//!
//! Like `kulta-fetch`, this crate knows reqwest: that one makes requests which plugins ask for, to where they were granted; this one
//! asks registries that the cluster's admin named, with credentials, certificates and limits of their own. `oci-client` would bring a
//! limit neither for manifests, tokens and error texts, nor for the time, and follows redirects on its own.
//!
//! Nothing here installs a TLS provider; the process does that once, at its start.

mod artifact;
mod challenge;
mod client;
mod credentials;
mod digest;
mod error;
#[cfg(feature = "fixtures")]
pub mod fixtures;
mod push;
mod reference;
mod refusal;
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
