//! A folder of disposable files with a size limit: the least recently used files are deleted first.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Distinguishes temporary files: two tasks of this process may write the same file at a time.
static NEXT_PARTIAL: AtomicU64 = AtomicU64::new(0);
/// Only the owner may read and write.
const FOLDER_MODE: u32 = 0o700;

/// Other processes may write there: readers must verify the content of a file.
#[derive(Clone, Debug)]
pub struct BoundedFolder {
    path: PathBuf,
    most_bytes: u64,
}

/// A file of a folder.
pub struct Entry {
    pub name: String,
    pub path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl BoundedFolder {
    /// Creates the folder, accessible by its owner alone, if it does not exist.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn open(path: PathBuf, most_bytes: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&path)?;
        Ok(Self { path, most_bytes })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        fs::read_dir(&self.path).into_iter().flatten().filter_map(Result::ok).filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            let name = entry.file_name().into_string().ok()?;
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            metadata.is_file().then(|| Entry { name, path: entry.path(), bytes: metadata.len(), used })
        })
    }

    /// Writes a file atomically, deletes the least recently used files if the folder exceeds its limit, and returns the
    /// path of the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        // The rename makes the complete file visible at once.
        let number = NEXT_PARTIAL.fetch_add(1, Ordering::Relaxed);
        let partial = path.with_extension(format!("part-{}-{number}", std::process::id()));
        File::create(&partial).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))?;
        fs::rename(&partial, &path)?;
        self.shrink(&path);
        Ok(path)
    }

    /// Marks a file as recently used. In a folder that has become read-only, the mark is not changed.
    pub fn used(&self, file: &Path) {
        let _ = File::open(file).and_then(|file| file.set_modified(SystemTime::now()));
    }

    fn shrink(&self, kept: &Path) {
        let mut all: Vec<Entry> = self.entries().collect();
        all.sort_by_key(|entry| entry.used);
        let mut total: u64 = all.iter().map(|entry| entry.bytes).sum();
        for entry in all.iter().filter(|entry| entry.path != kept) {
            if total <= self.most_bytes {
                return;
            }
            // A file in use stays mapped; only its name is deleted.
            let _ = fs::remove_file(&entry.path);
            total = total.saturating_sub(entry.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_least_recently_used_files_are_deleted_first() {
        let path = std::env::temp_dir().join(format!("kulta-bounded-{}", std::process::id()));
        let folder = BoundedFolder::open(path.clone(), 20).unwrap();
        for (name, age) in [("first", 30), ("second", 20)] {
            let file = folder.keep(name, &[0; 8]).unwrap();
            File::open(file).unwrap().set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        folder.used(&path.join("first"));

        folder.keep("third", &[0; 8]).unwrap();

        let mut names: Vec<String> = folder.entries().map(|entry| entry.name).collect();
        names.sort_unstable();
        fs::remove_dir_all(path).unwrap();
        assert_eq!(names, ["first", "third"]);
    }
}
