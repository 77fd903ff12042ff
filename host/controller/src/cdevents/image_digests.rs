//! Digests of images, from a pod's status.

use std::collections::BTreeMap;

use kulta_api::ContainerImage;
use kulta_events::digest_from_image_id;
use serde_json::Value;

use crate::object::text;

/// The statuses of containers in a pod. A kubelet sorts them by name, whatever the order in the spec.
const STATUSES: [&str; 2] = ["/status/containerStatuses", "/status/initContainerStatuses"];

/// By container; without those whose image is not pulled yet.
pub fn of_pod(pod: &Value) -> BTreeMap<String, String> {
    let statuses = STATUSES.into_iter().filter_map(|pointer| pod.pointer(pointer)?.as_array()).flatten();
    statuses
        .filter_map(|status| Some((text(status, "name").to_owned(), digest_from_image_id(text(status, "imageID"))?)))
        .collect()
}

/// The image itself says its digest.
pub fn is_pinned(image: &ContainerImage) -> bool {
    image.image.contains("@sha256:")
}

/// These digests are all that can be found of these images.
pub fn are_complete(digests: &BTreeMap<String, String>, images: &[ContainerImage]) -> bool {
    images.iter().all(|image| is_pinned(image) || digests.contains_key(&image.container))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ONE: &str = "sha256:0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427";
    const OTHER: &str = "sha256:5d20c808ce198565ff70b3ed23a991dd49afac45dece63474b27ce6ed036adc6";

    fn image(container: &str, image: &str) -> ContainerImage {
        ContainerImage { container: container.to_owned(), image: image.to_owned() }
    }

    #[test]
    fn each_digest_belongs_to_the_container_of_its_status() {
        let pod = json!({ "status": {
            "containerStatuses": [
                { "name": "a-proxy", "imageID": format!("ghcr.io/mesh/proxy@{ONE}") },
                { "name": "app", "imageID": format!("ghcr.io/acme/shop@{OTHER}") },
                { "name": "late", "imageID": "" },
            ],
            "initContainerStatuses": [{ "name": "setup", "imageID": format!("ghcr.io/acme/setup@{ONE}") }],
        } });

        let expected = [("a-proxy", ONE), ("app", OTHER), ("setup", ONE)];
        assert_eq!(of_pod(&pod), expected.map(|(name, digest)| (name.to_owned(), digest.to_owned())).into());
    }

    #[test]
    fn digests_are_complete_when_each_image_without_one_of_its_own_has_one() {
        let pinned = format!("ghcr.io/mesh/proxy@{ONE}");
        let images = [image("a-proxy", &pinned), image("app", "ghcr.io/acme/shop:2.0")];
        let found = BTreeMap::from([("app".to_owned(), OTHER.to_owned())]);

        assert_eq!([are_complete(&found, &images), are_complete(&BTreeMap::new(), &images)], [true, false]);
    }
}
