//! Signatures: only components with a trusted signature are served, if the admin requires it.

use anyhow::{Context, Result, ensure};
use kulta_oci::fixtures::{PREDICATE, Signer};
use kulta_oci::{Client, Credentials, Digest, Reference, Settings};
use kulta_tests::{
    controller::Controller,
    manifests::Canary,
    registry::{Registry, Users},
};
use kulta_wasm::fixtures::{LINEAR, noted};
use serde_json::json;

use crate::{Place, WEB, pin, ready, sources::push, text, until_weight};

struct Signed {
    place: Place,
    /// Until it is dropped.
    registry: Option<Registry>,
    address: String,
    signer: Signer,
    client: Client,
}

impl Signed {
    async fn begin(name: &str) -> Result<Self> {
        let place = Place::begin(name).await?;
        let registry = Registry::start(&place.folder.join("registry"), Users::Everybody).await?;
        let signer = Signer::new()?;
        place.file("trusted.pem", signer.public_pem().as_bytes())?;
        let address = registry.address.to_string();
        let plain_http = [address.clone()].into();
        let client = Client::new(Settings { plain_http, ..Settings::default() })?;
        Ok(Self { place, registry: Some(registry), address, signer, client })
    }

    /// A controller that serves only components that the signer has signed.
    async fn controller(&self) -> Result<Controller> {
        self.controller_with("cache").await
    }

    /// As [`Self::controller`], with a cache of that name.
    async fn controller_with(&self, cache: &str) -> Result<Controller> {
        let folder = &self.place.folder;
        let (cache, keys) = (folder.join(cache), folder.join("trusted.pem"));
        let variables = [
            ("KULTA_PLUGIN_CACHE", cache.display().to_string()),
            ("KULTA_PLUGIN_TRUSTED_KEYS", keys.display().to_string()),
            ("KULTA_PLUGIN_HTTP_REGISTRIES", self.address.clone()),
        ];
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.place.controller(None, &variables).await
    }

    fn image(&self) -> String {
        format!("{}/acme/linear", self.address)
    }

    /// Pushes a component with that note, and returns its manifest's digest.
    async fn push(&self, note: &str) -> Result<Digest> {
        let (image, registry) = (format!("{}:1", self.image()), self.registry.as_ref().context("no registry")?);
        Ok(push(registry, &image, &noted(LINEAR, note), Users::Everybody).await?.parse()?)
    }

    async fn apply(&self, name: &str, digest: &Digest) -> Result<()> {
        let spec = json!({"source": {"oci": {"image": self.image()}}, "digest": digest.as_str()});
        self.place.apply(name, spec).await
    }

    fn reference(&self) -> Result<Reference> {
        Ok(self.image().parse()?)
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_image_is_served_once_a_trusted_key_has_signed_it() -> Result<()> {
    let signed = Signed::begin("plugin-signed").await?;
    let (controller, digest) = (signed.controller().await?, signed.push("signed").await?);
    let (reference, nobody) = (signed.reference()?, Credentials::Anonymous);

    signed.apply("signed", &digest).await?;
    let (_, unsigned) = ready(&signed.place.until("signed", "Unsigned").await?);
    let strangers = Signer::new()?.payload(&digest)?;
    signed.client.push_signature(&reference, &digest, &strangers, &nobody).await?;
    signed.place.until_message("signed", "none of the trusted keys").await?;
    let ours = signed.signer.bundle(PREDICATE, &digest)?;
    signed.client.push_signature(&reference, &digest, &ours, &nobody).await?;
    signed.place.until("signed", "Serving").await?;

    ensure!(unsigned.contains("spec.source.oci.image") && unsigned.contains("cosign sign --key"), "{unsigned}");
    controller.stop().await?;
    signed.place.end(&["signed"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn signed_components_are_served_after_a_restart_without_the_registry_if_their_keys_are_trusted() -> Result<()> {
    let mut signed = Signed::begin("plugin-resigned").await?;
    let (controller, digest) = (signed.controller().await?, signed.push("signed").await?);
    let ours = signed.signer.payload(&digest)?;
    signed.client.push_signature(&signed.reference()?, &digest, &ours, &Credentials::Anonymous).await?;
    signed.apply("resigned", &digest).await?;
    signed.place.until("resigned", "Serving").await?;
    controller.stop().await?;
    signed.registry = None;
    signed.apply("resigned", &Digest::of(b"nowhere")).await?;

    let controller = signed.controller().await?;
    let (_, still) = ready(&signed.place.until("resigned", "SourceUnavailable").await?);
    controller.stop().await?;
    signed.place.file("trusted.pem", Signer::new()?.public_pem().as_bytes())?;
    let controller = signed.controller().await?;
    signed.apply("resigned", &digest).await?;
    let (_, distrusted) = ready(&signed.place.until("resigned", "SourceUnavailable").await?);

    ensure!(still.contains("is still served"), "{still}");
    ensure!(!distrusted.contains("is still served"), "{distrusted}");
    controller.stop().await?;
    signed.place.end(&["resigned"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_rollout_in_progress_continues_after_a_restart_that_lost_every_signature() -> Result<()> {
    let signed = Signed::begin("plugin-proofless").await?;
    let (controller, digest) = (signed.controller().await?, signed.push("signed").await?);
    let ours = signed.signer.payload(&digest)?;
    signed.client.push_signature(&signed.reference()?, &digest, &ours, &Credentials::Anonymous).await?;
    signed.apply("proofless", &digest).await?;
    let served = text(&signed.place.until("proofless", "Serving").await?, "/status/digest");
    let (canary, config) = (Canary::new(WEB), json!({"stepWeight": 40, "interval": "15s"}));
    signed.place.deploy(&canary, "proofless", config.clone()).await?;
    let (place, scenario) = (&signed.place, &signed.place.scenario);
    scenario.apply(place.ours(canary.version("v2").led_by("proofless", config))).await?;
    until_weight(scenario, WEB, 40).await?;

    controller.kill().await?;
    let controller = signed.controller_with("another-cache").await?;
    let went_on = until_weight(scenario, WEB, 80).await?;

    ensure!(pin(&went_on, "proofless") == served, "{:?}", went_on.data);
    controller.stop().await?;
    signed.place.end(&["proofless"]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn sources_without_signatures_are_not_served_if_signatures_are_required() -> Result<()> {
    let signed = Signed::begin("plugin-unsignable").await?;
    let (controller, place) = (signed.controller().await?, &signed.place);
    let file = place.file("linear.wasm", LINEAR)?;

    place.apply("unsignable", json!({"source": {"file": file}})).await?;
    let (_, told) = ready(&place.until("unsignable", "Unsigned").await?);

    ensure!(told.contains("spec.source.file") && told.contains("use oci"), "{told}");
    controller.stop().await?;
    signed.place.end(&["unsignable"]).await
}
