//! Objects of one kind, as the watch last reported them.

use std::collections::{BTreeMap, BTreeSet};

use crate::key::Key;

/// What a watch covers: the whole cluster or one namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Cluster,
    Namespace(String),
}

impl Scope {
    #[must_use]
    pub fn covers(&self, namespace: &str) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespace(own) => own == namespace,
        }
    }

    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Cluster => None,
            Self::Namespace(namespace) => Some(namespace),
        }
    }
}

#[derive(Debug)]
pub struct Store<T> {
    objects: BTreeMap<Key, T>,
    /// Keys that a list under way has reported, by its scope.
    listing: BTreeMap<Scope, BTreeSet<Key>>,
    /// Scopes of which a list was complete.
    listed: BTreeSet<Scope>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), listing: BTreeMap::new(), listed: BTreeSet::new() }
    }
}

impl<T> Store<T> {
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&T> {
        self.objects.get(key)
    }

    pub fn set(&mut self, key: Key, object: T) -> Option<T> {
        for (scope, listed) in &mut self.listing {
            if scope.covers(&key.namespace) {
                listed.insert(key.clone());
            }
        }
        self.objects.insert(key, object)
    }

    pub fn remove(&mut self, key: &Key) -> Option<T> {
        self.objects.remove(key)
    }

    /// A new list of that scope begins; what it does not report is gone when it ends.
    pub fn begin_list(&mut self, scope: &Scope) {
        self.listing.insert(scope.clone(), BTreeSet::new());
    }

    /// The list has ended. Answers the keys that it did not report; they are still stored, to be removed one by one.
    pub fn end_list(&mut self, scope: &Scope) -> Vec<Key> {
        let Some(listed) = self.listing.remove(scope) else { return Vec::new() };
        self.listed.insert(scope.clone());
        self.keys(scope).filter(|key| !listed.contains(*key)).cloned().collect()
    }

    /// Whether an object of this namespace that is not stored does not exist.
    #[must_use]
    pub fn is_listed(&self, namespace: &str) -> bool {
        self.listed.iter().any(|scope| scope.covers(namespace))
    }

    pub fn keys<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Key> {
        self.objects.keys().filter(|key| scope.covers(&key.namespace))
    }

    pub fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = (&'a Key, &'a T)> {
        self.objects.range(Key::new(namespace, "")..).take_while(move |(key, _)| key.namespace == namespace)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Key, &T)> {
        self.objects.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_new_list_of_a_namespace_does_not_report_is_gone() {
        let mut store = Store::default();
        for key in [Key::new("a", "kept"), Key::new("a", "lost"), Key::new("b", "other")] {
            store.set(key, ());
        }
        let scope = Scope::Namespace("a".into());

        store.begin_list(&scope);
        store.set(Key::new("a", "kept"), ());
        let gone = store.end_list(&scope);

        assert_eq!(gone, [Key::new("a", "lost")]);
    }

    #[test]
    fn a_namespace_is_not_mixed_up_with_one_whose_name_begins_alike() {
        let mut store = Store::default();
        for key in [Key::new("a", "x"), Key::new("a-b", "y"), Key::new("b", "z")] {
            store.set(key, ());
        }

        let names: Vec<&str> = store.in_namespace("a").map(|(key, ())| key.name.as_str()).collect();

        assert_eq!(names, ["x"]);
    }
}
