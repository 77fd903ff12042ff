//! Validates Plugins before anything is fetched.

use std::collections::BTreeSet;

use super::FieldError;
use crate::field_error::{Faults, Path};
use crate::plugin::{ConfigMapSource, Grant, Limits, PluginSource, PluginSpec};

const DIGEST_PREFIX: &str = "sha256:";
const DIGEST_HEX: usize = 64;
/// Kubernetes' rules for object names, plus the slashes of Argo's plugin names.
const NAME_BYTES: usize = 253;
const SCHEMES: [&str; 2] = ["http://", "https://"];

/// # Errors
/// Every error of the spec. The registry client validates the image's name.
pub fn validate(spec: &PluginSpec) -> Result<(), Vec<FieldError>> {
    let path = Path::new("spec");
    let mut faults = Faults::default();
    source(&spec.source, &path.field("source"), &mut faults);
    names(&spec.serves, &path.field("serves"), &mut faults);
    if let Some(digest) = &spec.digest {
        faults.add_if(
            !is_digest(digest),
            &path.field("digest"),
            format!("{digest:?} is not sha256: and {DIGEST_HEX} lower-case hex digits"),
        );
    }
    if let Err(error) = Limits::of(&spec.limits) {
        faults.add(&path.field("limits").field(error.field), error.message);
    }
    for (index, grant) in spec.grants.iter().enumerate() {
        self::grant(grant, &path.field("grants").index(index), &mut faults);
    }
    let config = spec.config.as_ref().map(|config| &config.0);
    faults.add_if(config.is_some_and(|config| !config.is_object()), &path.field("config"), "must be an object");
    faults.done()
}

fn source(source: &PluginSource, path: &Path, faults: &mut Faults) {
    let given = [source.oci.is_some(), source.file.is_some(), source.config_map.is_some()];
    if given.into_iter().filter(|given| *given).count() != 1 {
        faults.add(path, "must hold one of oci, file and configMap");
    }
    if let Some(oci) = &source.oci {
        let path = path.field("oci");
        faults.required(&oci.image, &path.field("image"));
        for (index, secret) in oci.pull_secrets.iter().enumerate() {
            faults.required(&secret.name, &path.field("pullSecrets").index(index).field("name"));
        }
    }
    if let Some(file) = &source.file {
        faults.add_if(!file.starts_with('/'), &path.field("file"), "must be an absolute path");
    }
    if let Some(ConfigMapSource { namespace, name, key }) = &source.config_map {
        let path = path.field("configMap");
        faults.required(namespace, &path.field("namespace"));
        faults.required(name, &path.field("name"));
        faults.required(key, &path.field("key"));
    }
}

fn names(names: &[String], path: &Path, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        let path = path.index(index);
        faults.required(name, &path);
        faults.add_if(name.len() > NAME_BYTES, &path, format!("is longer than {NAME_BYTES} bytes"));
        faults.add_if(!seen.insert(name), &path, format!("{name:?} is a duplicate"));
    }
}

fn grant(grant: &Grant, path: &Path, faults: &mut Faults) {
    let url = &grant.url_prefix;
    faults.add_if(
        !SCHEMES.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())),
        &path.field("urlPrefix"),
        format!("{url:?} is not an http or https URL"),
    );
    for (index, header) in grant.headers_from.iter().enumerate() {
        let path = path.field("headersFrom").index(index);
        faults.required(&header.name, &path.field("name"));
        let secret = path.field("secretKeyRef");
        faults.required(&header.secret_key_ref.name, &secret.field("name"));
        faults.required(&header.secret_key_ref.key, &secret.field("key"));
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix(DIGEST_PREFIX).is_some_and(|hex| {
        hex.len() == DIGEST_HEX && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::validation::tests::merge;

    fn faults(patch: Value) -> Vec<String> {
        let mut spec = json!({ "source": { "file": "/plugins/judge.wasm" } });
        merge(&mut spec, patch);
        let spec = serde_json::from_value(spec).unwrap();
        validate(&spec).err().into_iter().flatten().map(|error| error.to_string()).collect()
    }

    #[test]
    fn a_file_alone_is_valid() {
        assert_eq!(faults(json!({})), Vec::<String>::new());
    }

    #[test]
    fn each_error_names_its_field() {
        for (patch, expected) in [
            (json!({ "source": { "file": null } }), "spec.source: must hold one of oci, file and configMap"),
            (
                json!({ "source": { "oci": { "image": "a.b/c" } } }),
                "spec.source: must hold one of oci, file and configMap",
            ),
            (json!({ "source": { "file": "judge.wasm" } }), "spec.source.file: must be an absolute path"),
            (
                json!({ "source": { "file": null, "configMap": { "namespace": "a", "name": "b" } } }),
                "spec.source.configMap.key: ",
            ),
            (
                json!({ "source": { "file": null, "oci": { "image": "a.b/c", "pullSecrets": [{}] } } }),
                "spec.source.oci.pullSecrets[0].name: ",
            ),
            (
                json!({ "digest": "sha256:12" }),
                "spec.digest: \"sha256:12\" is not sha256: and 64 lower-case hex digits",
            ),
            (json!({ "serves": ["a", "a"] }), "spec.serves[1]: \"a\" is a duplicate"),
            (json!({ "limits": { "memory": "9Gi" } }), "spec.limits.memory: "),
            (
                json!({ "grants": [{ "urlPrefix": "ftp://x" }] }),
                "spec.grants[0].urlPrefix: \"ftp://x\" is not an http or https URL",
            ),
            (
                json!({ "grants": [{ "urlPrefix": "https://x", "headersFrom": [{ "name": "A", "secretKeyRef": { "name": "s" } }] }] }),
                "spec.grants[0].headersFrom[0].secretKeyRef.key: ",
            ),
            (json!({ "config": [] }), "spec.config: must be an object"),
        ] {
            let told = faults(patch.clone());

            assert!(told.len() == 1 && told[0].starts_with(expected), "{patch}: {told:?}");
        }
    }
}
