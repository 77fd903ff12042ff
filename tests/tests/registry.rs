//! Plugins in a real registry: pushed, pulled, changed, protected and deleted. No control plane is needed; each
//! scenario has its own registry.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use kulta_oci::fixtures::{PREDICATE, Signer};
use kulta_oci::{Artifact, Class, Client, Credentials, Digest, Error, Reference, Settings, TrustedKeys};
use kulta_tests::{
    install_tls_provider,
    registry::{PASSWORD, Registry, USER, Users},
};

const REPOSITORY: &str = "acme/error-rate";
/// Larger than a socket's buffer.
const SIZE: usize = 3 * 1024 * 1024;

struct Scenario {
    registry: Registry,
    client: Client,
    /// In [`REPOSITORY`], with the tag 1.
    reference: Reference,
    credentials: Credentials,
}

impl Scenario {
    /// With an empty registry.
    async fn begin(name: &str, users: Users) -> Result<Self> {
        install_tls_provider();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("registry").join(name);
        let registry = Registry::start(&folder, users).await?;
        let host = registry.address.to_string();
        let client = Client::new(Settings { plain_http: [host.clone()].into(), ..Settings::default() })?;
        let reference = format!("{host}/{REPOSITORY}:1").parse()?;
        let credentials = match users {
            Users::Everybody => Credentials::Anonymous,
            Users::One => Credentials::Basic { username: USER.into(), password: PASSWORD.into() },
        };
        Ok(Self { registry, client, reference, credentials })
    }

    async fn push(&self, artifact: &Artifact) -> Result<Digest, Error> {
        self.client.push(&self.reference, artifact, &self.credentials).await
    }

    async fn pull(&self, expected: Option<&Digest>) -> Result<Vec<u8>, Error> {
        let pulled = self.client.pull(&self.reference, expected, &self.credentials).await?;
        Ok(pulled.component.to_vec())
    }
}

/// The n-th component; incompressible bytes, like a component's.
fn artifact(n: u32) -> Result<Artifact> {
    // The upper bytes of a linear congruential generator.
    let states =
        std::iter::successors(Some(n), |state| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)));
    let component: Vec<u8> = states.map(|state| state.to_be_bytes()[0]).take(SIZE).collect();
    Ok(Artifact {
        component: component.into(),
        created: "2026-11-23T10:00:00Z".parse()?,
        exports: vec!["kulta:plugin/analyzer@0.1.0".into()],
        imports: vec!["kulta:plugin/log@0.1.0".into()],
        target: Some("kulta:plugin/analyzer-plugin@0.1.0".into()),
    })
}

fn failure<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Result<Error> {
    outcome.err().context("it should have failed")
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_pushed_component_is_pulled_by_tag_and_by_digest() -> Result<()> {
    let scenario = Scenario::begin("pulled", Users::Everybody).await?;
    let artifact = artifact(1)?;

    let digest = scenario.push(&artifact).await?;

    let by_tag = scenario.client.pull(&scenario.reference, None, &scenario.credentials).await?;
    let by_digest = scenario.client.pull(&scenario.reference.at(digest.clone()), None, &scenario.credentials).await?;
    ensure!(by_tag.component == artifact.component && by_tag == by_digest, "other bytes came back");
    ensure!(by_tag.manifest == digest, "the tag is {}, {digest} was pushed", by_tag.manifest);
    ensure!(by_tag.layer == Digest::of(&artifact.component), "the layer is {}", by_tag.layer);
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_tag_is_resolved_to_the_last_push() -> Result<()> {
    let scenario = Scenario::begin("resolved", Users::Everybody).await?;
    let first = scenario.push(&artifact(1)?).await?;
    let again = scenario.push(&artifact(1)?).await?;
    let second = scenario.push(&artifact(2)?).await?;

    let found = scenario.client.resolve(&scenario.reference, &scenario.credentials).await?;

    ensure!(first == again && first != second, "digests: {first}, {again}, {second}");
    ensure!(found == second, "the tag is {found}, not {second}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_digest_is_pulled_after_its_tag_has_moved() -> Result<()> {
    let scenario = Scenario::begin("moved", Users::Everybody).await?;
    let first = scenario.push(&artifact(1)?).await?;
    scenario.push(&artifact(2)?).await?;

    let component = scenario.pull(Some(&first)).await?;

    ensure!(component == artifact(1)?.component, "other bytes came back");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_missing_digest_is_reported_with_the_tags_current_one() -> Result<()> {
    let scenario = Scenario::begin("never", Users::Everybody).await?;
    let pushed = scenario.push(&artifact(1)?).await?;
    let other = Digest::of(b"never pushed");

    let error = failure(scenario.pull(Some(&other)).await)?;

    ensure!(error.class() == Class::Gone, "{error}");
    ensure!(error.to_string().contains(&format!("the tag \"1\" is {pushed} now")), "{error}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_layer_truncated_on_the_registrys_disk_is_rejected() -> Result<()> {
    let scenario = Scenario::begin("truncated", Users::Everybody).await?;
    let artifact = artifact(1)?;
    scenario.push(&artifact).await?;
    let layer = Digest::of(&artifact.component);
    fs::write(scenario.registry.blob(layer.as_str())?, &artifact.component[..SIZE / 2])?;

    let error = failure(scenario.pull(None).await)?;

    let (whole, half) = (u64::try_from(SIZE)?, u64::try_from(SIZE / 2)?);
    let told = matches!(error, Error::WrongSize { expected, found, .. } if (expected, found) == (whole, half));
    ensure!(told && !error.class().may_pass(), "{error}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_layer_changed_on_the_registrys_disk_has_the_wrong_digest() -> Result<()> {
    let scenario = Scenario::begin("changed", Users::Everybody).await?;
    let artifact = artifact(1)?;
    scenario.push(&artifact).await?;
    let layer = Digest::of(&artifact.component);
    let mut changed = artifact.component.to_vec();
    changed[SIZE / 2] ^= 1;
    fs::write(scenario.registry.blob(layer.as_str())?, &changed)?;

    let error = failure(scenario.pull(None).await)?;

    ensure!(matches!(&error, Error::WrongDigest { expected, .. } if *expected == layer), "{error}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_manifest_changed_on_the_registrys_disk_has_the_wrong_digest() -> Result<()> {
    let scenario = Scenario::begin("manifest", Users::Everybody).await?;
    let digest = scenario.push(&artifact(1)?).await?;
    let file = scenario.registry.blob(digest.as_str())?;
    let changed = fs::read_to_string(&file)?.replacen('{', "{ ", 1);
    fs::write(&file, changed)?;

    let by_tag = failure(scenario.pull(None).await)?;
    let by_digest = failure(scenario.pull(Some(&digest)).await)?;

    for error in [by_tag, by_digest] {
        ensure!(matches!(&error, Error::WrongDigest { expected, .. } if *expected == digest), "{error}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn missing_and_wrong_credentials_are_reported() -> Result<()> {
    let scenario = Scenario::begin("guarded", Users::One).await?;
    let artifact = artifact(1)?;
    let wrong = Credentials::Basic { username: USER.into(), password: "guessed".into() };

    let push = failure(scenario.client.push(&scenario.reference, &artifact, &Credentials::Anonymous).await)?;
    scenario.push(&artifact).await?;
    let pull = failure(scenario.client.pull(&scenario.reference, None, &Credentials::Anonymous).await)?;
    let guess = failure(scenario.client.pull(&scenario.reference, None, &wrong).await)?;
    let component = scenario.pull(None).await?;

    ensure!(matches!(push, Error::NoCredentials { .. }), "{push}");
    ensure!(matches!(pull, Error::NoCredentials { .. }), "{pull}");
    ensure!(matches!(guess, Error::Unauthorized { .. }), "{guess}");
    ensure!(component == artifact.component, "other bytes came back");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn an_image_counts_as_signed_once_a_trusted_key_has_signed_it_in_either_format() -> Result<()> {
    let signer = Signer::new()?;
    let keys = TrustedKeys::parse(signer.public_pem().as_bytes())?;
    for (name, bundled) in [("payload", false), ("bundle", true)] {
        let scenario = Scenario::begin(name, Users::One).await?;
        let digest = scenario.push(&artifact(1)?).await?;
        let signature = if bundled { signer.bundle(PREDICATE, &digest)? } else { signer.payload(&digest)? };
        let look = || scenario.client.signature(&scenario.reference, &digest, &keys, &scenario.credentials);

        let before = failure(look().await)?;
        scenario.client.push_signature(&scenario.reference, &digest, &signature, &scenario.credentials).await?;
        let after = look().await?;

        ensure!(before.class() == Class::Unsigned, "{name}: {before}");
        ensure!(after == signature, "{name}: another signature came back");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_deleted_manifest_is_gone_by_tag_and_by_digest() -> Result<()> {
    let scenario = Scenario::begin("deleted", Users::Everybody).await?;
    let digest = scenario.push(&artifact(1)?).await?;
    scenario.registry.delete(REPOSITORY, digest.as_str()).await?;

    let by_tag = failure(scenario.pull(None).await)?;
    let by_digest = failure(scenario.pull(Some(&digest)).await)?;
    let look_up = failure(scenario.client.resolve(&scenario.reference, &scenario.credentials).await)?;

    for error in [by_tag, by_digest, look_up] {
        ensure!(error.class() == Class::Gone, "{error}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn an_unavailable_registry_is_a_temporary_error() -> Result<()> {
    let scenario = Scenario::begin("away", Users::Everybody).await?;
    scenario.push(&artifact(1)?).await?;
    let Scenario { registry, client, reference, credentials } = scenario;
    drop(registry);

    let error = failure(client.pull(&reference, None, &credentials).await)?;

    ensure!(error.class() == Class::Unavailable && error.class().may_pass(), "{error}");
    Ok(())
}
