//! Builds the plugins for wasm32 and encodes each as a component, so that the binary embeds them without a separate
//! build step.
//!
//! The plugins are a separate workspace with a separate target; the nested cargo must not inherit this build's
//! settings.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";

/// Embedded in the binary.
const BUILT_IN: [&str; 15] = [
    "canary",
    "blue-green",
    "linear",
    "prometheus",
    "web",
    "datadog",
    "graphite",
    "influxdb",
    "newrelic",
    "skywalking",
    "wavefront",
    "threshold",
    "sequential",
    "commit",
    "conditions",
];
/// For this crate's own tests only.
const FIXTURES: [&str; 5] = ["hostile", "hostile-analyzer", "hostile-enricher", "hostile-step", "gate"];

/// Paths below `plugins/` whose changes make the components stale.
const SOURCES: [&str; 21] = [
    "Cargo.toml",
    "Cargo.lock",
    "sdk",
    "canary",
    "blue-green",
    "linear",
    "promql",
    "prometheus",
    "web",
    "datadog",
    "graphite",
    "influxdb",
    "newrelic",
    "skywalking",
    "wavefront",
    "threshold",
    "sequential",
    "commit",
    "conditions",
    "fixtures",
    "../wit",
];

/// Debian's cargo and rustc with std's source, for machines where rustup cannot fetch the target.
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

fn main() -> Result<(), Box<dyn Error>> {
    let plugins = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("../../plugins");
    let out = PathBuf::from(variable("OUT_DIR")?);
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", plugins.join(source).display());
    }
    let toolchain = Toolchain::find()?;
    for name in BUILT_IN.into_iter().chain(FIXTURES) {
        let module = toolchain.build(&plugins, name)?;
        let component = componentize(&module).map_err(|error| format!("component {name}: {error}"))?;
        fs::write(out.join(format!("{name}.wasm")), component)?;
    }
    for name in FIXTURES {
        let path = out.join(format!("{name}.wasm"));
        println!("cargo::rustc-env=KULTA_FIXTURE_{}={}", name.to_uppercase().replace('-', "_"), path.display());
    }
    Ok(())
}

enum Toolchain {
    /// The toolchain that builds this crate has the target.
    Own,
    /// Debian's toolchain, with std built from source and the linker of the default toolchain.
    Debian { linker: PathBuf },
}

impl Toolchain {
    fn find() -> Result<Self, Box<dyn Error>> {
        let rustc = variable("RUSTC")?;
        let libdir = printed(&rustc, &["--print", "target-libdir", "--target", TARGET]);
        if libdir.is_some_and(|libdir| Path::new(&libdir).is_dir()) {
            return Ok(Self::Own);
        }
        let debian_std = printed(OsString::from(DEBIAN_RUSTC).as_ref(), &["--print", "sysroot"])
            .map(|root| Path::new(&root).join("lib/rustlib/src/rust/library"));
        let linker = printed(&rustc, &["--print", "sysroot"]).map(|root| {
            let host = env::var("HOST").unwrap_or_default();
            Path::new(&root).join("lib/rustlib").join(host).join("bin/rust-lld")
        });
        match (debian_std, linker) {
            (Some(std), Some(linker)) if std.is_dir() && Path::new(DEBIAN_CARGO).exists() && linker.exists() => {
                Ok(Self::Debian { linker })
            }
            _ => Err(format!("the Rust target {TARGET} is missing; run `make setup`").into()),
        }
    }

    /// Returns the path of the core module.
    fn build(&self, plugins: &Path, name: &str) -> Result<PathBuf, Box<dyn Error>> {
        let target_dir = plugins.join("target");
        let mut cargo = match self {
            Self::Own => Command::new(variable("CARGO")?),
            Self::Debian { .. } => Command::new(DEBIAN_CARGO),
        };
        forget_this_build(&mut cargo);
        cargo.env("CARGO_ENCODED_RUSTFLAGS", without_home()?);
        // As a cdylib alone: with an rlib, cargo omits link-time optimisation and the module is a third larger.
        cargo
            .current_dir(plugins)
            .args(["rustc", "--locked", "--release", "--lib", "--crate-type", "cdylib"])
            .args(["--package", name, "--target", TARGET])
            .arg("--target-dir")
            .arg(&target_dir);
        if let Self::Debian { linker } = self {
            cargo
                .arg("-Zbuild-std=std,panic_abort")
                .env("RUSTC_BOOTSTRAP", "1")
                .env("RUSTC", DEBIAN_RUSTC)
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        let status = cargo.status().map_err(|error| format!("start cargo for {name}: {error}"))?;
        if !status.success() {
            return Err(format!("build plugin {name}: cargo ended with {status}").into());
        }
        // The name that rustc gives a library.
        let file = format!("{}.wasm", name.replace('-', "_"));
        Ok(target_dir.join(TARGET).join("release").join(file))
    }
}

/// Keeps wrappers, flags and features of this build (clippy's, coverage's) out of the nested build.
fn forget_this_build(cargo: &mut Command) {
    const KEPT: [&str; 5] = ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_"];
    const FORGOTTEN: [&str; 9] = [
        "RUSTC",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTDOC",
        "RUSTFLAGS",
        "CLIPPY_ARGS",
        "MAKEFLAGS",
        "OUT_DIR",
        "TARGET",
        "HOST",
    ];
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let kept = KEPT.iter().any(|prefix| text.starts_with(prefix));
        if !kept && (text.starts_with("CARGO") || FORGOTTEN.contains(&text)) {
            cargo.env_remove(&name);
        }
    }
}

/// The flag that shortens the paths of dependencies in panic messages. A built-in plugin then has the same bytes, and the same
/// digest, whoever builds it.
fn without_home() -> Result<OsString, String> {
    let home = match env::var_os("CARGO_HOME") {
        Some(home) => home,
        None => PathBuf::from(variable("HOME")?).join(".cargo").into_os_string(),
    };
    let mut flag = OsString::from("--remap-path-prefix=");
    flag.push(home);
    flag.push("=/cargo");
    Ok(flag)
}

/// The encoder reads the interface from a custom section of the module.
fn componentize(module: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let module = fs::read(module)?;
    let mut encoder = wit_component::ComponentEncoder::default().validate(true).module(&module)?;
    Ok(encoder.encode()?)
}

fn printed(rustc: &std::ffi::OsStr, arguments: &[&str]) -> Option<String> {
    let output = Command::new(rustc).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set"))
}
