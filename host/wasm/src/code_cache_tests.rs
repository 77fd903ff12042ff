//! Compiled code survives the process; damaged code and code of other users is ignored.

use crate::testing::HOSTILE;
use crate::{CacheError, ChildCompiler, CodeCache, Compiler, Limits, LoadError, Plugins};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder that is removed with its content.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("kulta-wasm-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn plugins(folder: &Folder) -> Plugins {
    Plugins::new(Limits::default()).unwrap().with_cache(CodeCache::open(&folder.0).unwrap())
}

/// A compiler that fails.
fn without_compiler(folder: &Folder) -> Plugins {
    plugins(folder).with_compiler(Compiler::Child(ChildCompiler::new("/nowhere".into(), Vec::new())))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn the_next_process_compiles_nothing() {
    let folder = Folder::new();
    let first = plugins(&folder).load("theirs", HOSTILE.to_vec(), Limits::default()).await.unwrap();

    let second = without_compiler(&folder).load("theirs", HOSTILE.to_vec(), Limits::default()).await.unwrap();

    assert_eq!(second.digest(), first.digest());
}

#[tokio::test]
async fn damaged_code_is_compiled_again() {
    let folder = Folder::new();
    plugins(&folder).load("theirs", HOSTILE.to_vec(), Limits::default()).await.unwrap();
    let kept = files(&folder.0).remove(0);
    let whole = fs::read(&kept).unwrap();
    fs::write(&kept, &whole[..whole.len() / 2]).unwrap();

    let again = plugins(&folder).load("theirs", HOSTILE.to_vec(), Limits::default()).await;

    assert!(again.is_ok(), "{again:?}");
    assert_eq!(fs::read(&files(&folder.0)[0]).unwrap(), whole);
}

#[tokio::test]
async fn a_compiler_that_cannot_start_is_not_an_error_of_the_component() {
    let folder = Folder::new();

    let error = without_compiler(&folder).load("theirs", HOSTILE.to_vec(), Limits::default()).await.unwrap_err();

    assert!(matches!(&error, LoadError::Compiler(_)), "{error}");
    assert!(!error.is_final());
}

#[test]
fn a_folder_that_other_users_can_access_is_rejected() {
    let folder = Folder::new();
    fs::create_dir(&folder.0).unwrap();
    fs::set_permissions(&folder.0, Permissions::from_mode(0o755)).unwrap();

    let refused = CodeCache::open(&folder.0);

    assert!(matches!(refused, Err(CacheError::NotPrivate { .. })), "{refused:?}");
}
