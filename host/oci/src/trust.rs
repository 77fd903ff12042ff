//! Verifies cosign signatures with trusted public keys.
//!
//! Two formats: cosign's own (a payload with its signature, `SIGNATURE_SPEC.md` of cosign), and the Sigstore bundle
//! with a DSSE envelope, cosign's format since version 3. Certificates, transparency logs and keys of other kinds are
//! ignored: only the key counts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::artifact::{MANIFEST, only_layer};
use crate::digest::Digest;

/// DER prefix of a public key for ECDSA on P-256: the two object identifiers, and a bit string of 66 bytes without
/// unused bits (RFC 5480). The point follows.
pub(crate) const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// An uncompressed point: its tag and two coordinates.
const P256_POINT: usize = 65;
pub(crate) const PAYLOAD_TYPE: &str = "cosign container image signature";
/// Other statements about an image, such as its provenance, are not signatures.
pub(crate) const PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
pub(crate) const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Per envelope; cosign writes one.
const MOST_SIGNATURES: usize = 8;

/// Public keys that the cluster's admin trusts; one of them must have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKeys(Vec<Vec<u8>>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("expected public keys in PEM (\"-----BEGIN PUBLIC KEY-----\"), such as cosign.pub, and found none")]
    None,
    #[error("key {number} cannot be read: {why}")]
    Malformed { number: usize, why: String },
    #[error("key {number} is of another kind than ECDSA on P-256, which \"cosign generate-key-pair\" creates")]
    Kind { number: usize },
}

/// A signature of an image's manifest, as a registry stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Signature {
    /// A payload that names the manifest, and its signature in base64.
    Payload { payload: String, signature: String },
    /// A Sigstore bundle, as JSON.
    Bundle(String),
}

/// Evidence that a component was signed, sufficient to verify it again without a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The text of the manifest, whose digest was signed and which names the component.
    pub manifest: String,
    pub signature: Signature,
}

/// Why a signature is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    #[error("it is malformed: {0}")]
    Malformed(String),
    #[error("it is by none of the trusted keys")]
    Stranger,
    #[error("it is {found}, not {expected}")]
    Subject { found: String, expected: String },
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: PayloadImage,
    r#type: String,
}

#[derive(Deserialize)]
struct PayloadImage {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: SubjectDigest,
}

#[derive(Deserialize)]
struct SubjectDigest {
    #[serde(default)]
    sha256: String,
}

impl TrustedKeys {
    /// # Errors
    /// If there is no key, or one that is not supported.
    pub fn parse(pem: &[u8]) -> Result<Self, KeyError> {
        let keys = (1..)
            .zip(SubjectPublicKeyInfoDer::pem_slice_iter(pem))
            .map(|(number, key)| {
                let key = key.map_err(|error| KeyError::Malformed { number, why: error.to_string() })?;
                let point = key.strip_prefix(P256).filter(|point| point.len() == P256_POINT);
                point.map(<[u8]>::to_vec).ok_or(KeyError::Kind { number })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(KeyError::None) } else { Ok(Self(keys)) }
    }

    /// # Errors
    /// If it is not one of these keys' signature of that manifest.
    pub fn verify(&self, signature: &Signature, manifest: &Digest) -> Result<(), Distrust> {
        match signature {
            Signature::Payload { payload, signature } => self.verify_payload(payload, signature, manifest),
            Signature::Bundle(bundle) => self.verify_bundle(bundle, manifest),
        }
    }

    /// # Errors
    /// If it does not prove that one of these keys has signed a manifest of that component.
    pub fn verify_proof(&self, proof: &Proof, component: &Digest) -> Result<(), Distrust> {
        let manifest = proof.manifest.as_bytes();
        self.verify(&proof.signature, &Digest::of(manifest))?;
        let layer = only_layer(manifest, Some(MANIFEST), "the manifest")
            .map_err(|error| Distrust::Malformed(error.to_string()))?;
        same(layer.digest.as_str(), component.as_str())
    }

    fn verify_payload(&self, payload: &str, signature: &str, manifest: &Digest) -> Result<(), Distrust> {
        self.signed(payload.as_bytes(), &[signature])?;
        let Payload { critical } = read(payload.as_bytes())?;
        same(&critical.r#type, PAYLOAD_TYPE)?;
        same(&critical.image.digest, manifest.as_str())
    }

    fn verify_bundle(&self, bundle: &str, manifest: &Digest) -> Result<(), Distrust> {
        let Bundle { dsse_envelope: envelope } = read(bundle.as_bytes())?;
        let payload = decoded(&envelope.payload)?;
        let signatures: Vec<&str> = envelope.signatures.iter().map(|signature| signature.sig.as_str()).collect();
        self.signed(&pre_authentication(&envelope.payload_type, &payload), &signatures)?;
        same(&envelope.payload_type, IN_TOTO)?;
        let Statement { predicate_type, subject } = read(&payload)?;
        same(&predicate_type, PREDICATE)?;
        let found: Vec<String> =
            subject.into_iter().map(|subject| format!("sha256:{}", subject.digest.sha256)).collect();
        if found.iter().any(|found| found == manifest.as_str()) {
            return Ok(());
        }
        same(&found.join(", "), manifest.as_str())
    }

    /// True if one of the signatures, in base64, is by one of these keys.
    fn signed(&self, message: &[u8], signatures: &[&str]) -> Result<(), Distrust> {
        // The limit matters because each one is verified over the whole message.
        if signatures.len() > MOST_SIGNATURES {
            let why = format!("it holds {} signatures, and may hold {MOST_SIGNATURES}", signatures.len());
            return Err(Distrust::Malformed(why));
        }
        let mut distrust = Distrust::Stranger;
        for signature in signatures {
            match decoded(signature) {
                Ok(signature) if self.0.iter().any(|point| verifies(point, message, &signature)) => return Ok(()),
                Ok(_) => {}
                Err(malformed) => distrust = malformed,
            }
        }
        Err(distrust)
    }
}

fn verifies(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature).is_ok()
}

/// The signed bytes of a DSSE envelope: <https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>.
pub(crate) fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Distrust> {
    serde_json::from_slice(json).map_err(|error| Distrust::Malformed(error.to_string()))
}

fn decoded(base64: &str) -> Result<Vec<u8>, Distrust> {
    STANDARD.decode(base64).map_err(|error| Distrust::Malformed(error.to_string()))
}

fn same(found: &str, expected: &str) -> Result<(), Distrust> {
    if found == expected {
        return Ok(());
    }
    Err(Distrust::Subject { found: found.to_owned(), expected: expected.to_owned() })
}
