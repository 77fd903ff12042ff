//! Plugins in a real registry: pushed, pulled, tampered with, guarded and deleted. No control plane is needed; each story has a
//! registry of its own.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use kulta_oci::fixtures::{PREDICATE, Signer};
use kulta_oci::{Artifact, Class, Client, Credentials, Digest, Error, Reference, Settings, TrustedKeys};
use kulta_tests::{
    install_tls_provider,
    registry::{PASSWORD, Registry, USER, Users},
};

const REPOSITORY: &str = "acme/error-rate";
/// Larger than what a connection takes at once.
const SIZE: usize = 3 * 1024 * 1024;

struct Story {
    registry: Registry,
    client: Client,
    /// In [`REPOSITORY`], with the tag 1.
    reference: Reference,
    credentials: Credentials,
}

impl Story {
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

/// The n-th component; bytes of little pattern, as a component's are.
fn artifact(n: u32) -> Result<Artifact> {
    // A linear congruential generator's upper bytes.
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
async fn what_is_pushed_is_pulled_by_tag_and_by_digest() -> Result<()> {
    let story = Story::begin("pulled", Users::Everybody).await?;
    let artifact = artifact(1)?;

    let digest = story.push(&artifact).await?;

    let by_tag = story.client.pull(&story.reference, None, &story.credentials).await?;
    let by_digest = story.client.pull(&story.reference.at(digest.clone()), None, &story.credentials).await?;
    ensure!(by_tag.component == artifact.component && by_tag == by_digest, "other bytes came back");
    ensure!(by_tag.manifest == digest, "the tag is {}, {digest} was pushed", by_tag.manifest);
    ensure!(by_tag.layer == Digest::of(&artifact.component), "the layer is {}", by_tag.layer);
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_tag_is_resolved_to_what_was_pushed_last() -> Result<()> {
    let story = Story::begin("resolved", Users::Everybody).await?;
    let first = story.push(&artifact(1)?).await?;
    let again = story.push(&artifact(1)?).await?;
    let second = story.push(&artifact(2)?).await?;

    let found = story.client.resolve(&story.reference, &story.credentials).await?;

    ensure!(first == again && first != second, "digests: {first}, {again}, {second}");
    ensure!(found == second, "the tag is {found}, not {second}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_digest_is_pulled_after_its_tag_moved_on() -> Result<()> {
    let story = Story::begin("moved", Users::Everybody).await?;
    let first = story.push(&artifact(1)?).await?;
    story.push(&artifact(2)?).await?;

    let component = story.pull(Some(&first)).await?;

    ensure!(component == artifact(1)?.component, "other bytes came back");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_digest_that_was_never_pushed_is_gone_and_the_tags_is_told() -> Result<()> {
    let story = Story::begin("never", Users::Everybody).await?;
    let pushed = story.push(&artifact(1)?).await?;
    let other = Digest::of(b"never pushed");

    let error = failure(story.pull(Some(&other)).await)?;

    ensure!(error.class() == Class::Gone, "{error}");
    ensure!(error.to_string().contains(&format!("the tag \"1\" is {pushed} now")), "{error}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_layer_truncated_on_the_registrys_disk_is_refused() -> Result<()> {
    let story = Story::begin("truncated", Users::Everybody).await?;
    let artifact = artifact(1)?;
    story.push(&artifact).await?;
    let layer = Digest::of(&artifact.component);
    fs::write(story.registry.blob(layer.as_str())?, &artifact.component[..SIZE / 2])?;

    let error = failure(story.pull(None).await)?;

    let (whole, half) = (u64::try_from(SIZE)?, u64::try_from(SIZE / 2)?);
    let told = matches!(error, Error::WrongSize { expected, found, .. } if (expected, found) == (whole, half));
    ensure!(told && !error.class().may_pass(), "{error}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_layer_changed_on_the_registrys_disk_has_the_wrong_digest() -> Result<()> {
    let story = Story::begin("changed", Users::Everybody).await?;
    let artifact = artifact(1)?;
    story.push(&artifact).await?;
    let layer = Digest::of(&artifact.component);
    let mut changed = artifact.component.to_vec();
    changed[SIZE / 2] ^= 1;
    fs::write(story.registry.blob(layer.as_str())?, &changed)?;

    let error = failure(story.pull(None).await)?;

    ensure!(matches!(&error, Error::WrongDigest { expected, .. } if *expected == layer), "{error}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_manifest_changed_on_the_registrys_disk_has_the_wrong_digest() -> Result<()> {
    let story = Story::begin("manifest", Users::Everybody).await?;
    let digest = story.push(&artifact(1)?).await?;
    let file = story.registry.blob(digest.as_str())?;
    let changed = fs::read_to_string(&file)?.replacen('{', "{ ", 1);
    fs::write(&file, changed)?;

    let by_tag = failure(story.pull(None).await)?;
    let by_digest = failure(story.pull(Some(&digest)).await)?;

    for error in [by_tag, by_digest] {
        ensure!(matches!(&error, Error::WrongDigest { expected, .. } if *expected == digest), "{error}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn whoever_has_no_credentials_or_the_wrong_ones_is_told_which() -> Result<()> {
    let story = Story::begin("guarded", Users::One).await?;
    let artifact = artifact(1)?;
    let wrong = Credentials::Basic { username: USER.into(), password: "guessed".into() };

    let push = failure(story.client.push(&story.reference, &artifact, &Credentials::Anonymous).await)?;
    story.push(&artifact).await?;
    let pull = failure(story.client.pull(&story.reference, None, &Credentials::Anonymous).await)?;
    let guess = failure(story.client.pull(&story.reference, None, &wrong).await)?;
    let component = story.pull(None).await?;

    ensure!(matches!(push, Error::NoCredentials { .. }), "{push}");
    ensure!(matches!(pull, Error::NoCredentials { .. }), "{pull}");
    ensure!(matches!(guess, Error::Unauthorized { .. }), "{guess}");
    ensure!(component == artifact.component, "other bytes came back");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn an_image_counts_as_signed_once_a_trusted_key_has_signed_it_in_either_form() -> Result<()> {
    let signer = Signer::new()?;
    let keys = TrustedKeys::parse(signer.public_pem().as_bytes())?;
    for (name, bundled) in [("payload", false), ("bundle", true)] {
        let story = Story::begin(name, Users::One).await?;
        let digest = story.push(&artifact(1)?).await?;
        let signature = if bundled { signer.bundle(PREDICATE, &digest)? } else { signer.payload(&digest)? };
        let look = || story.client.signature(&story.reference, &digest, &keys, &story.credentials);

        let before = failure(look().await)?;
        story.client.push_signature(&story.reference, &digest, &signature, &story.credentials).await?;
        let after = look().await?;

        ensure!(before.class() == Class::Unsigned, "{name}: {before}");
        ensure!(after == signature, "{name}: another signature came back");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_deleted_manifest_is_gone_by_tag_and_by_digest() -> Result<()> {
    let story = Story::begin("deleted", Users::Everybody).await?;
    let digest = story.push(&artifact(1)?).await?;
    story.registry.delete(REPOSITORY, digest.as_str()).await?;

    let by_tag = failure(story.pull(None).await)?;
    let by_digest = failure(story.pull(Some(&digest)).await)?;
    let look_up = failure(story.client.resolve(&story.reference, &story.credentials).await)?;

    for error in [by_tag, by_digest, look_up] {
        ensure!(error.class() == Class::Gone, "{error}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs the registry of tests/tools/build.sh: make cluster-test runs it"]
async fn a_registry_that_went_away_may_come_back() -> Result<()> {
    let story = Story::begin("away", Users::Everybody).await?;
    story.push(&artifact(1)?).await?;
    let Story { registry, client, reference, credentials } = story;
    drop(registry);

    let error = failure(client.pull(&reference, None, &credentials).await)?;

    ensure!(error.class() == Class::Unavailable && error.class().may_pass(), "{error}");
    Ok(())
}
