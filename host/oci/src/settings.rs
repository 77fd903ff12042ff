//! Limits, each with its reason, and the trusted certificates.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Proxy;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// A component of 20 MB on a slow line of 4 Mbit/s.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The size that the distribution specification requires registries to accept.
const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;
/// Components in Python or JavaScript have 12 to 18 MB; much larger ones take long to compile.
const LAYER_LIMIT: u64 = 32 * 1024 * 1024;

#[derive(Clone, Debug)]
pub struct Settings {
    /// For a whole pull, push or look-up. Default 60 s.
    pub timeout: Duration,
    /// Bytes of a manifest that are read. Default 4 MiB.
    pub manifest_limit: u64,
    /// Bytes of a component that are read. Default 32 MiB.
    pub layer_limit: u64,
    /// Registries, as in references (`localhost:5000`), that use http instead of https. Default none.
    pub plain_http: BTreeSet<String>,
    /// PEM certificates that are trusted in addition to the platform's. Default none.
    pub extra_ca: Vec<u8>,
    /// The choice of a proxy for each URL. Default none: registries are reached directly.
    pub proxy: Option<Proxy>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("the timeout is zero")]
    Timeout,
    #[error("the limit of a manifest's size is zero")]
    ManifestLimit,
    #[error("the limit of a component's size is zero")]
    LayerLimit,
    #[error("the extra CA has no certificate in PEM (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    #[error("certificate {number} of the extra CA: {reason}")]
    Certificate { number: usize, reason: String },
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: TIMEOUT,
            manifest_limit: MANIFEST_LIMIT,
            layer_limit: LAYER_LIMIT,
            plain_http: BTreeSet::new(),
            extra_ca: Vec::new(),
            proxy: None,
        }
    }
}

impl Settings {
    /// The additional certificates.
    pub(crate) fn check(&self) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
        if self.timeout.is_zero() {
            return Err(SettingsError::Timeout);
        }
        if self.manifest_limit == 0 {
            return Err(SettingsError::ManifestLimit);
        }
        if self.layer_limit == 0 {
            return Err(SettingsError::LayerLimit);
        }
        if self.extra_ca.is_empty() { Ok(Vec::new()) } else { certificates(&self.extra_ca) }
    }
}

/// Validates each certificate, so that a bad one is reported at the start rather than at a pull.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let mut store = RootCertStore::empty();
    let mut found = Vec::new();
    for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(pem)) {
        let wrong = |reason: String| SettingsError::Certificate { number, reason };
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        store.add(certificate.clone()).map_err(|error| wrong(error.to_string()))?;
        found.push(certificate);
    }
    if found.is_empty() { Err(SettingsError::NoCertificate) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_zero_is_rejected() {
        let usual = Settings::default;
        let cases = [
            (Settings { timeout: Duration::ZERO, ..usual() }, SettingsError::Timeout),
            (Settings { manifest_limit: 0, ..usual() }, SettingsError::ManifestLimit),
            (Settings { layer_limit: 0, ..usual() }, SettingsError::LayerLimit),
        ];

        for (settings, error) in cases {
            assert_eq!(settings.check(), Err(error));
        }
    }

    #[test]
    fn an_invalid_extra_ca_is_rejected_with_the_reason() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let torn = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        for (pem, expected) in [("nothing", "no certificate"), (broken, "certificate 1"), (torn, "certificate 1")] {
            let settings = Settings { extra_ca: pem.into(), ..Settings::default() };

            let error = settings.check().unwrap_err().to_string();

            assert!(error.contains(expected), "{pem}: {error}");
        }
    }
}
