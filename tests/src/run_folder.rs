//! The folder of one run: certificates, kubeconfigs, logs, etcd's data. Git ignores it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// `tests/`, whatever folder the program was started in.
pub fn tests_folder() -> PathBuf {
    let at_run_time = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    at_run_time.filter(|folder| folder.ends_with("tests")).unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")))
}

/// The checkout's root.
pub fn repository() -> PathBuf {
    let tests = tests_folder();
    tests.parent().map(Path::to_path_buf).unwrap_or(tests)
}

/// Where `tests/tools/build.sh` leaves the programs.
pub fn tools() -> PathBuf {
    tests_folder().join("tools/bin")
}

/// A folder `tests/.run/<process id>`. The logs of a failed run stay there until the next run starts.
#[derive(Debug)]
pub struct RunFolder {
    pub path: PathBuf,
    pub id: u32,
}

impl RunFolder {
    pub fn create() -> Result<Self> {
        let parent = tests_folder().join(".run");
        fs::create_dir_all(&parent).with_context(|| format!("create {}", parent.display()))?;
        remove_stale(&parent)?;
        let id = std::process::id();
        let path = parent.join(id.to_string());
        if path.exists() {
            fs::remove_dir_all(&path).context("remove an old run folder of the same id")?;
        }
        fs::create_dir_all(path.join("logs")).context("create the run folder")?;
        Ok(Self { path, id })
    }

    /// Deletes the data of etcd, of a node and of image builds and, after a successful run, everything else.
    pub fn finish(&self, keep_logs: bool) -> Result<()> {
        for data in ["etcd", "root", "images"] {
            let data = self.path.join(data);
            if data.exists() {
                fs::remove_dir_all(&data).with_context(|| format!("remove {}", data.display()))?;
            }
        }
        if !keep_logs {
            fs::remove_dir_all(&self.path).context("remove the run folder")?;
        }
        Ok(())
    }
}

/// True while a process with this id is running.
pub fn alive(id: &str) -> bool {
    Path::new("/proc").join(id).exists()
}

fn remove_stale(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent).context("list the run folders")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.chars().all(|c| c.is_ascii_digit()) && !alive(&name) {
            fs::remove_dir_all(entry.path()).with_context(|| format!("remove the old run folder {name}"))?;
        }
    }
    Ok(())
}
