//! The CNCF Wasm OCI artifact: a manifest, a config that describes the component, and the component as its only layer.

use bytes::Bytes;
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Error;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker's index of images for several platforms.
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";
/// The media type that was used before the CNCF's format.
const OLD_LAYER: &str = "application/vnd.wasm.content.layer.v1+wasm";

const SCHEMA_VERSION: u8 = 2;
const ARCHITECTURE: &str = "wasm";
const OS: &str = "wasip2";

/// A component with its description for the config; equal artifacts have equal digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    pub component: Bytes,
    /// The time of the build, or of the built commit. It is part of the digest.
    pub created: Timestamp,
    /// Interfaces and functions, as the component names them.
    pub exports: Vec<String>,
    pub imports: Vec<String>,
    /// The target world, such as `kulta:plugin/analyzer-plugin@0.1.0`.
    pub target: Option<String>,
}

/// The blobs to upload for an artifact.
pub(crate) struct Parts {
    pub config: Bytes,
    pub manifest: Bytes,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub digest: Digest,
    pub size: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: Timestamp,
    architecture: &'static str,
    os: &'static str,
    layer_digests: [&'a Digest; 1],
    component: Component<'a>,
}

#[derive(Serialize)]
struct Component<'a> {
    exports: &'a [String],
    imports: &'a [String],
    target: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewManifest<'a> {
    schema_version: u8,
    media_type: &'static str,
    config: NewDescriptor<'a>,
    layers: [NewDescriptor<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewDescriptor<'a> {
    media_type: &'static str,
    digest: &'a Digest,
    size: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    media_type: Option<String>,
    manifests: Option<Vec<IgnoredAny>>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

impl Artifact {
    pub(crate) fn parts(&self, layer: &Digest) -> Result<Parts, serde_json::Error> {
        let config: Bytes = serde_json::to_vec(&Config {
            created: self.created,
            architecture: ARCHITECTURE,
            os: OS,
            layer_digests: [layer],
            component: Component { exports: &self.exports, imports: &self.imports, target: self.target.as_deref() },
        })?
        .into();
        let manifest = serde_json::to_vec(&NewManifest {
            schema_version: SCHEMA_VERSION,
            media_type: MANIFEST,
            config: NewDescriptor { media_type: CONFIG, digest: &Digest::of(&config), size: config.len() },
            layers: [NewDescriptor { media_type: LAYER, digest: layer, size: self.component.len() }],
        })?
        .into();
        Ok(Parts { config, manifest })
    }
}

/// The layer of a manifest that holds one component. The media type in the manifest takes precedence over the answer's
/// header, which no digest covers.
pub(crate) fn only_layer(manifest: &[u8], header: Option<&str>, what: &str) -> Result<Layer, Error> {
    let what = || what.to_owned();
    let malformed = |reason: String| Error::Malformed { what: what(), reason };
    let read: Manifest = serde_json::from_slice(manifest).map_err(|error| malformed(error.to_string()))?;
    let media_type = read.media_type.as_deref().or(header).unwrap_or_default();
    if read.manifests.is_some() || matches!(media_type, INDEX | DOCKER_INDEX) {
        return Err(Error::Index { what: what(), found: media_type.to_owned() });
    }
    if media_type != MANIFEST {
        return Err(Error::ManifestType { what: what(), expected: MANIFEST, found: media_type.to_owned() });
    }
    let [layer] = read.layers.as_slice() else {
        return Err(Error::Layers { what: what(), found: read.layers.len() });
    };
    if !matches!(layer.media_type.as_str(), LAYER | OLD_LAYER) {
        let expected = format!("{LAYER:?} or the older {OLD_LAYER:?}");
        return Err(Error::LayerType { what: what(), expected, found: layer.media_type.clone() });
    }
    let digest = layer.digest.parse().map_err(|error| malformed(format!("the layer's digest: {error}")))?;
    Ok(Layer { digest, size: layer.size })
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::error::Class;

    const WHAT: &str = "the manifest of ghcr.io/acme/a:1";

    fn artifact() -> Artifact {
        Artifact {
            component: Bytes::from_static(b"component"),
            created: "2026-11-23T10:00:00Z".parse().unwrap(),
            exports: vec!["kulta:plugin/analyzer@0.1.0".into()],
            imports: vec!["kulta:plugin/log@0.1.0".into()],
            target: None,
        }
    }

    fn layer(media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": Digest::of(b"component").as_str(), "size": 9})
    }

    fn read(manifest: &Value, header: Option<&str>) -> Result<Layer, Error> {
        only_layer(manifest.to_string().as_bytes(), header, WHAT)
    }

    #[test]
    fn a_config_describes_the_component() {
        let layer = Digest::of(b"component");

        let config: Value = serde_json::from_slice(&artifact().parts(&layer).unwrap().config).unwrap();

        let expected = json!({
            "created": "2026-11-23T10:00:00Z", "architecture": "wasm", "os": "wasip2", "layerDigests": [layer.as_str()],
            "component": {
                "exports": ["kulta:plugin/analyzer@0.1.0"], "imports": ["kulta:plugin/log@0.1.0"], "target": null,
            },
        });
        assert_eq!(config, expected);
    }

    #[test]
    fn a_manifest_points_to_config_and_component() {
        let digest = Digest::of(b"component");

        let parts = artifact().parts(&digest).unwrap();

        let manifest: Value = serde_json::from_slice(&parts.manifest).unwrap();
        let config = json!({
            "mediaType": "application/vnd.wasm.config.v0+json", "digest": Digest::of(&parts.config).as_str(),
            "size": parts.config.len(),
        });
        let expected = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
            "layers": [layer("application/wasm")],
        });
        assert_eq!(manifest, expected);
    }

    #[test]
    fn a_written_artifact_can_be_read() {
        let digest = Digest::of(b"component");
        let parts = artifact().parts(&digest).unwrap();

        assert_eq!(only_layer(&parts.manifest, None, WHAT), Ok(Layer { digest, size: 9 }));
    }

    #[test]
    fn equal_artifacts_have_equal_bytes_and_a_later_one_differs() {
        let layer = Digest::of(b"component");
        let manifest = |artifact: Artifact| artifact.parts(&layer).unwrap().manifest;
        let later = Artifact { created: "2026-11-24T10:00:00Z".parse().unwrap(), ..artifact() };

        assert_eq!(manifest(artifact()), manifest(artifact()));
        assert_ne!(manifest(artifact()), manifest(later));
    }

    #[test]
    fn the_older_layer_type_is_accepted() {
        let manifest = json!({"mediaType": MANIFEST, "layers": [layer("application/vnd.wasm.content.layer.v1+wasm")]});

        assert!(read(&manifest, None).is_ok());
    }

    #[test]
    fn without_a_media_type_in_the_manifest_the_answers_header_counts() {
        let manifest = json!({"layers": [layer(LAYER)]});

        assert!(read(&manifest, Some(MANIFEST)).is_ok());
        assert!(
            matches!(read(&manifest, Some("text/html")), Err(Error::ManifestType { found, .. }) if found == "text/html")
        );
    }

    #[test]
    fn an_invalid_artifact_is_rejected_with_the_found_and_expected_content() {
        let with = |layers: Value| json!({"mediaType": MANIFEST, "layers": layers});
        let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
        let cases = [
            (json!({"mediaType": INDEX, "manifests": []}), "is an index of several images"),
            (json!({"manifests": []}), "is an index of several images"),
            (json!({"mediaType": DOCKER_INDEX}), "is an index of several images"),
            (json!({"mediaType": DOCKER_MANIFEST}), "docker.distribution.manifest.v2+json\"; expected"),
            (with(json!([])), "has 0 layers; a component is exactly one"),
            (with(json!([layer(LAYER), layer(LAYER)])), "has 2 layers"),
            (with(json!([layer(tar)])), "tar+gzip\"; expected \"application/wasm\""),
            (
                with(json!([{"mediaType": LAYER, "digest": "md5:0", "size": 9}])),
                "the layer's digest: \"md5:0\" is not a digest",
            ),
            (with(json!([{"mediaType": LAYER, "digest": "", "size": -1}])), "is invalid"),
            (json!([]), "is invalid"),
        ];

        for (manifest, expected) in cases {
            let error = read(&manifest, None).unwrap_err();
            assert!(error.to_string().contains(expected) && error.to_string().starts_with(WHAT), "{error}");
            assert_eq!(error.class(), Class::Malformed, "{error}");
        }
    }
}
