//! The images of the node: built by buildah from what is on this machine, and imported into containerd, because no
//! registry may be reachable.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::{controller, node, run_folder};

/// The image of test pods; each of [`APP_VERSIONS`] is a tag of it.
pub const APP: &str = "example.test/app";
pub const APP_VERSIONS: [&str; 3] = ["v1", "v2", "v3"];
/// The image of the first process of every pod.
pub const PAUSE: &str = "example.test/app:pause";
/// A second tag of KULTA's image, for upgrades.
pub const NEXT: &str = "docker.io/library/kulta:next";

/// Images of the quick start that a cluster pulls. Here one image with the programs of `tests/tools/bin` has all these names.
pub const PUBLIC: [&str; 4] = [
    "ghcr.io/projectcontour/contour:v1.33.8",
    "docker.io/envoyproxy/envoy:distroless-v1.38.9",
    "docker.io/prom/prometheus:v3.5.0",
    "docker.io/library/busybox:1.37",
];
/// Where the published images have these programs.
const PROGRAMS: [(&str, &str); 3] =
    [("contour", "usr/bin/contour"), ("envoy", "usr/local/bin/envoy"), ("prometheus", "usr/bin/prometheus")];

/// What the shell of test pods can call.
const APPLETS: [&str; 5] = ["sh", "sleep", "nc", "nslookup", "cat"];
/// This machine's CA certificates (Debian: ca-certificates); the build stage's image has the same file.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

/// Image archives of a run.
#[derive(Debug)]
pub struct Images {
    pub kulta: PathBuf,
    pub app: PathBuf,
}

/// Builds all images.
pub async fn build(run: &Path) -> Result<Images> {
    let folder = folder(run);
    fs::create_dir_all(&folder).context("create the folder of images")?;
    app(&folder).await?;
    kulta(&folder).await?;
    Images::of(run)
}

/// Where images are built and their archives are kept.
pub fn folder(run: &Path) -> PathBuf {
    run.join("images")
}

impl Images {
    /// The archives that [`build`] has made.
    pub fn of(run: &Path) -> Result<Self> {
        let folder = folder(run);
        Ok(Self { kulta: archive(&folder, &node::image()?), app: archive(&folder, PAUSE) })
    }

    /// Imports all images into containerd, under every name.
    pub async fn import(&self) -> Result<()> {
        import(&self.app).await?;
        for version in APP_VERSIONS {
            tag(PAUSE, &format!("{APP}:{version}")).await?;
        }
        self.import_kulta().await?;
        tag(&node::image()?, NEXT).await
    }

    /// Imports KULTA's image under its own name: what a pull does after its download.
    pub async fn import_kulta(&self) -> Result<()> {
        import(&self.kulta).await
    }
}

fn archive(folder: &Path, image: &str) -> PathBuf {
    folder.join(format!("{}.tar", image.replace(['/', ':'], "-")))
}

/// The final stage of `deploy/Containerfile` over the binary under test, in place of its build stage.
async fn kulta(folder: &Path) -> Result<()> {
    let stage = folder.join("build");
    let binary = controller::binary();
    copy(&binary, &stage.join("src/target/release/kulta"))?;
    copy(&Path::new("/").join(CERTIFICATES), &stage.join(CERTIFICATES))?;
    let file = run_folder::repository().join("deploy/Containerfile");
    let image = node::image()?;
    let version = image.rsplit(':').next().unwrap_or_default();
    let arguments = ["--build-context".to_owned(), format!("build={}", stage.display()), "--build-arg".to_owned()];
    let arguments = [arguments.as_slice(), &[format!("VERSION={version}")]].concat();
    build_image(folder, &file, &arguments, &stage, &image).await
}

async fn app(folder: &Path) -> Result<()> {
    let root = folder.join("app");
    let bin = root.join("bin");
    fs::create_dir_all(&bin).context("create the image's folder")?;
    let source = run_folder::tests_folder().join("src/bin/kulta-app.rs");
    let mut command = Command::new("rustc");
    command.args(["--edition", "2024", "-O", "-C", "strip=symbols", "-C", "target-feature=+crt-static", "-o"]);
    run(command.arg(bin.join("kulta-app")).arg(source)).await.context("compile the program of test pods")?;
    copy(Path::new("/bin/busybox"), &bin.join("busybox")).context("Debian package busybox-static")?;
    for applet in APPLETS {
        symlink("busybox", bin.join(applet)).context("link a program of busybox")?;
    }
    build_image(folder, &run_folder::tests_folder().join("node/Containerfile"), &[], &root, PAUSE).await
}

/// Builds the image that stands in for [`PUBLIC`], and imports it under each of the names.
pub async fn import_public(run: &Path) -> Result<()> {
    let folder = folder(run);
    let root = folder.join("public");
    for (program, path) in PROGRAMS {
        copy(&run_folder::tools().join(program), &root.join(path))?;
    }
    copy(Path::new("/bin/busybox"), &root.join("usr/local/bin/busybox")).context("Debian package busybox-static")?;
    symlink("busybox", root.join("usr/local/bin/wget")).context("link a program of busybox")?;
    let [first, others @ ..] = PUBLIC;
    build_image(&folder, &run_folder::tests_folder().join("node/Containerfile.public"), &[], &root, first).await?;
    import(&archive(&folder, first)).await?;
    for image in others {
        tag(first, image).await?;
    }
    Ok(())
}

/// Builds an image and writes it to its archive.
async fn build_image(folder: &Path, file: &Path, arguments: &[String], context: &Path, image: &str) -> Result<()> {
    let mut command = buildah(folder);
    command.args(["build", "--quiet", "--pull=never", "--file"]).arg(file).args(arguments);
    run(command.args(["--tag", image]).arg(context)).await.with_context(|| format!("build the image {image}"))?;
    let target = format!("docker-archive:{}:{image}", archive(folder, image).display());
    run(buildah(folder).args(["push", "--quiet", image, &target])).await.context("write an image archive")
}

/// buildah with a store of this run, and with the base image that `tests/tools/build.sh` has made.
pub fn buildah(folder: &Path) -> Command {
    let base = run_folder::tools().join("base-image");
    let base = fs::canonicalize(&base).unwrap_or(base);
    let mut command = Command::new("buildah");
    command.arg("--root").arg(folder.join("store")).arg("--runroot").arg(folder.join("state"));
    command
        .args(["--storage-driver", "overlay", "--storage-opt"])
        .arg(format!("overlay.imagestore={}", base.display()));
    command
}

async fn import(archive: &Path) -> Result<()> {
    let name = archive.display().to_string();
    run(containerd().args(["import", &name])).await.with_context(|| format!("import {name}"))
}

async fn tag(image: &str, other: &str) -> Result<()> {
    run(containerd().args(["tag", image, other])).await.with_context(|| format!("tag {image} as {other}"))
}

/// The images that the kubelet sees.
pub fn containerd() -> Command {
    let mut command = Command::new("ctr");
    command.args(["--namespace", "k8s.io", "images"]);
    command
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    }
    fs::copy(from, to).map(drop).with_context(|| format!("copy {} to {}", from.display(), to.display()))
}

/// Runs a command to its end; an error has its standard error.
pub async fn run(command: &mut Command) -> Result<()> {
    let output = command.output().await.with_context(|| format!("run {:?}", command.as_std().get_program()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
