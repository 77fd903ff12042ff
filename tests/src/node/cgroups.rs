//! The cgroup of a node: every pod and container is below it, so that it can be removed as a whole.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::run_folder::alive;

/// Where the hierarchies are mounted: one folder for each controller (version 1), or one for all (version 2).
const ROOT: &str = "/sys/fs/cgroup";
const PREFIX: &str = "kulta-";
/// A child of the cpuset controller has no CPUs until it is given some.
const CPUSET: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];
/// The kernel needs a moment to count ended processes out.
const TRIES: u32 = 50;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// A cgroup of this name in every hierarchy; removed when dropped, when its processes have ended.
#[derive(Debug)]
pub struct Cgroups {
    pub name: String,
}

impl Cgroups {
    /// `name` is that of the network namespace: `kulta-` and the owner's process id.
    pub fn create(name: &str) -> Result<Self> {
        let cgroups = Self { name: name.to_owned() };
        for hierarchy in hierarchies()? {
            remove_stale(&hierarchy)?;
            let folder = hierarchy.join(name);
            fs::create_dir_all(&folder).with_context(|| format!("create the cgroup {}", folder.display()))?;
            for file in CPUSET {
                let parent = hierarchy.join(file);
                if parent.exists() {
                    fs::copy(&parent, folder.join(file)).with_context(|| format!("copy {}", parent.display()))?;
                }
            }
        }
        Ok(cgroups)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        let removed = hierarchies().and_then(|all| all.iter().try_for_each(|root| remove(&root.join(&self.name))));
        if let Err(error) = removed {
            eprintln!("the cgroup {} is left over: {error:#}", self.name);
        }
    }
}

/// The most memory that a pod of the QoS class Burstable has ever used, with page cache, in bytes. `name` is the node's cgroup.
pub fn peak_memory(name: &str, pod: &str) -> Result<u64> {
    let (root, file) = if Path::new(ROOT).join("cgroup.controllers").exists() {
        (PathBuf::from(ROOT), "memory.peak")
    } else {
        (Path::new(ROOT).join("memory"), "memory.max_usage_in_bytes")
    };
    let file = root.join(name).join(format!("kubepods/burstable/pod{pod}")).join(file);
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    text.trim().parse().with_context(|| format!("{text:?} in {}", file.display()))
}

fn hierarchies() -> Result<Vec<PathBuf>> {
    if Path::new(ROOT).join("cgroup.controllers").exists() {
        return Ok(vec![ROOT.into()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(ROOT).with_context(|| format!("list {ROOT}"))? {
        let path = entry?.path();
        // Some hierarchies have a second name, which is a symbolic link.
        if path.is_dir() && !path.is_symlink() {
            found.push(path);
        }
    }
    Ok(found)
}

/// Removes the cgroups of runs that were killed.
fn remove_stale(hierarchy: &Path) -> Result<()> {
    for entry in fs::read_dir(hierarchy).with_context(|| format!("list {}", hierarchy.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).filter(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_digit()));
        if owner.is_some_and(|id| !alive(id)) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a cgroup and those below it, deepest first.
fn remove(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            remove(&path)?;
        }
    }
    let mut tries = 0;
    loop {
        match fs::remove_dir(folder) {
            Ok(()) => return Ok(()),
            Err(_) if tries < TRIES => {
                tries += 1;
                std::thread::sleep(BETWEEN_TRIES);
            }
            Err(error) => return Err(error).with_context(|| format!("remove the cgroup {}", folder.display())),
        }
    }
}
