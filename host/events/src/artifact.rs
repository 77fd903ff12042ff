//! Package URLs of container images: the name under which CI publishes an artifact and by which dashboards join.

use crate::encode::percent;

/// The registry of an image without one.
const DEFAULT_REGISTRY: &str = "docker.io";
/// The older name of the same registry.
const LEGACY_REGISTRY: &str = "index.docker.io";
/// The default registry's namespace for images without an owner.
const DEFAULT_OWNER: &str = "library";
/// The tag of an image with neither tag nor digest.
const DEFAULT_TAG: &str = "latest";
/// The minimum of hex digits in the grammar of image references.
const DIGEST_HEX_LENGTH: usize = 32;

/// The purl of `image`: `pkg:oci/<name>@<digest>?repository_url=<registry/path>&tag=<tag>`.
///
/// A digest in the image reference takes precedence over `digest`, because the user pinned it. An invalid `digest` is
/// ignored. Without a digest the purl has the tag only. `None` if `image` has no name.
#[must_use]
pub fn purl(image: &str, digest: Option<&str>) -> Option<String> {
    let (reference, pinned) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let (repository, tag) = split_tag(reference);
    let repository = full_repository(repository)?;
    let name = repository.rsplit('/').next()?;
    let digest = pinned.and_then(normal_digest).or_else(|| digest.and_then(normal_digest));
    let tag = tag.or_else(|| digest.is_none().then_some(DEFAULT_TAG));

    let mut purl = format!("pkg:oci/{}", component(name));
    if let Some(digest) = &digest {
        purl.push('@');
        purl.push_str(&component(digest));
    }
    purl.push_str("?repository_url=");
    purl.push_str(&percent(&repository, |byte| unreserved(byte) || byte == b'/'));
    if let Some(tag) = tag {
        purl.push_str("&tag=");
        purl.push_str(&component(tag));
    }
    Some(purl)
}

/// The digest in a container status' `imageID`, such as `docker-pullable://repo@sha256:…` or `repo@sha256:…`. An id
/// without a repository is that of the local image config, which is not in a registry: `None`.
#[must_use]
pub fn digest_from_image_id(image_id: &str) -> Option<String> {
    image_id.rsplit_once('@').and_then(|(_, digest)| normal_digest(digest))
}

/// `registry:5000/app` has a port and no tag: only a colon after the last slash begins a tag.
fn split_tag(reference: &str) -> (&str, Option<&str>) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag).filter(|tag| !tag.is_empty())),
        _ => (reference, None),
    }
}

fn full_repository(repository: &str) -> Option<String> {
    let repository = repository.trim().to_ascii_lowercase();
    let (registry, path) = match repository.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (first, path),
        _ => (DEFAULT_REGISTRY, repository.as_str()),
    };
    if path.is_empty() || path.ends_with('/') {
        return None;
    }
    let registry = if registry == LEGACY_REGISTRY { DEFAULT_REGISTRY } else { registry };
    if registry == DEFAULT_REGISTRY && !path.contains('/') {
        return Some(format!("{registry}/{DEFAULT_OWNER}/{path}"));
    }
    Some(format!("{registry}/{path}"))
}

fn normal_digest(digest: &str) -> Option<String> {
    let digest = digest.trim().to_ascii_lowercase();
    let (algorithm, hex) = digest.split_once(':')?;
    let known =
        !algorithm.is_empty() && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+._-".contains(&byte));
    let valid = known && hex.len() >= DIGEST_HEX_LENGTH && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then_some(digest)
}

fn component(value: &str) -> String {
    percent(value, unreserved)
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427";
    const OTHER: &str = "sha256:5d20c808ce198565ff70b3ed23a991dd49afac45dece63474b27ce6ed036adc6";
    const ENCODED: &str = "sha256%3A0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427";

    #[test]
    fn the_purl_of_an_image_with_a_digest_is_the_one_that_ci_publishes() {
        let cases = [
            ("ghcr.io/acme/shop:2.0", "shop", "repository_url=ghcr.io/acme/shop&tag=2.0"),
            ("ghcr.io/acme/shop", "shop", "repository_url=ghcr.io/acme/shop"),
            ("registry.example:5000/team/app:v1", "app", "repository_url=registry.example%3A5000/team/app&tag=v1"),
            ("registry.example:5000/app", "app", "repository_url=registry.example%3A5000/app"),
            ("localhost/app:v1", "app", "repository_url=localhost/app&tag=v1"),
            ("nginx", "nginx", "repository_url=docker.io/library/nginx"),
            ("docker.io/nginx:1", "nginx", "repository_url=docker.io/library/nginx&tag=1"),
            ("index.docker.io/nginx:1", "nginx", "repository_url=docker.io/library/nginx&tag=1"),
            ("acme/shop:2.0", "shop", "repository_url=docker.io/acme/shop&tag=2.0"),
            ("GHCR.io/acme/Shop:V2", "shop", "repository_url=ghcr.io/acme/shop&tag=V2"),
            ("ghcr.io/acme/a__b:1+x", "a__b", "repository_url=ghcr.io/acme/a__b&tag=1%2Bx"),
        ];

        for (image, name, qualifiers) in cases {
            assert_eq!(purl(image, Some(DIGEST)).unwrap(), format!("pkg:oci/{name}@{ENCODED}?{qualifiers}"), "{image}");
        }
    }

    #[test]
    fn without_a_digest_the_purl_has_the_tag_only() {
        let cases = [
            ("ghcr.io/acme/shop:2.0", "pkg:oci/shop?repository_url=ghcr.io/acme/shop&tag=2.0"),
            ("ghcr.io/acme/shop", "pkg:oci/shop?repository_url=ghcr.io/acme/shop&tag=latest"),
            ("ghcr.io/acme/shop:", "pkg:oci/shop?repository_url=ghcr.io/acme/shop&tag=latest"),
            ("nginx:1.29", "pkg:oci/nginx?repository_url=docker.io/library/nginx&tag=1.29"),
        ];

        for (image, expected) in cases {
            assert_eq!(purl(image, None).as_deref(), Some(expected), "{image}");
        }
    }

    #[test]
    fn a_digest_in_the_image_takes_precedence() {
        let image = format!("ghcr.io/acme/shop:2.0@{DIGEST}");

        assert_eq!(
            purl(&image, Some(OTHER)).unwrap(),
            format!("pkg:oci/shop@{ENCODED}?repository_url=ghcr.io/acme/shop&tag=2.0")
        );
    }

    #[test]
    fn a_digest_in_capitals_is_the_same_digest() {
        let image = format!("ghcr.io/acme/shop@{}", DIGEST.to_ascii_uppercase());

        assert_eq!(purl(&image, None).unwrap(), format!("pkg:oci/shop@{ENCODED}?repository_url=ghcr.io/acme/shop"));
    }

    #[test]
    fn an_invalid_digest_is_ignored() {
        for digest in ["", "sha256:", "sha256:xyz", "0b31b1c02ff458ad", ":0b31b1c02ff458ad9b7b81cbdf8f028b"] {
            assert_eq!(
                purl("acme/shop:1", Some(digest)).as_deref(),
                Some("pkg:oci/shop?repository_url=docker.io/acme/shop&tag=1"),
                "{digest}"
            );
        }
    }

    #[test]
    fn an_image_without_a_name_has_no_purl() {
        for image in ["", " ", ":1", "ghcr.io/", "ghcr.io/acme/", "@sha256:00"] {
            assert_eq!(purl(image, Some(DIGEST)), None, "{image:?}");
        }
    }

    #[test]
    fn the_digest_of_a_running_container_is_found_in_its_image_id() {
        let cases = [
            (format!("docker-pullable://ghcr.io/acme/shop@{DIGEST}"), Some(DIGEST)),
            (format!("ghcr.io/acme/shop@{DIGEST}"), Some(DIGEST)),
            (format!("ghcr.io/acme/shop@{}", DIGEST.to_ascii_uppercase()), Some(DIGEST)),
            (DIGEST.to_owned(), None),
            (format!("docker://{DIGEST}"), None),
            ("ghcr.io/acme/shop:2.0".to_owned(), None),
            (String::new(), None),
        ];

        for (image_id, expected) in cases {
            assert_eq!(digest_from_image_id(&image_id).as_deref(), expected, "{image_id}");
        }
    }
}
