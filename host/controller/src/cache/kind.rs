//! What the caches need to know of each kind.

use std::collections::BTreeSet;

use super::{ChangeSet, Contents, Scope, Store};
use crate::key::Key;
use crate::kinds::Kind;
use crate::object::Object;

/// Which objects of a kind are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    All,
    /// Those with this controller's instance id, or without any if it has none.
    Instance,
    /// Those with this label.
    Labelled(&'static str),
}

/// A kind of object that is watched and cached.
pub trait CachedKind: 'static {
    /// What is kept of one object.
    type Cached;
    const KIND: Kind;
    /// A cluster may lack the kind, and the controller works without it.
    const OPTIONAL: bool;
    const SELECTION: Selection;

    fn decode(object: Object) -> Self::Cached;

    /// The resourceVersion of one object.
    fn version(cached: &Self::Cached) -> u64;

    fn store(contents: &Contents) -> &Store<Self::Cached>;

    fn store_mut(contents: &mut Contents) -> &mut Store<Self::Cached>;

    /// Puts an object into the caches.
    fn set(contents: &mut Contents, key: Key, cached: Self::Cached) -> ChangeSet;

    /// Takes an object out of the caches.
    fn remove(contents: &mut Contents, key: &Key) -> ChangeSet;

    /// The rollouts that are concerned when the kind can, or can no longer, be watched in this scope.
    fn rollouts_of_watch(contents: &Contents, scope: &Scope) -> BTreeSet<Key>;

    /// The version of an object in the caches; `None` if it is not there.
    fn cached_version(contents: &Contents, key: &Key) -> Option<u64> {
        Self::store(contents).get(key).map(Self::version)
    }
}

/// The parts of [`CachedKind`] that say where a kind is stored.
macro_rules! stored_in {
    ($field:ident, $cached:ty) => {
        type Cached = $cached;

        fn version(cached: &$cached) -> u64 {
            cached.version
        }

        fn store(contents: &Contents) -> &Store<$cached> {
            &contents.$field
        }

        fn store_mut(contents: &mut Contents) -> &mut Store<$cached> {
            &mut contents.$field
        }
    };
}
pub(super) use stored_in;
