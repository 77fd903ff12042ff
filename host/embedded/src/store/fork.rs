//! A store that begins as a copy of another.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::{Settings, State, Store};

impl Store {
    /// A store with the same kinds, objects and versions; after the fork both are independent. Immutable parts such as
    /// compiled definitions are shared.
    ///
    /// Existing objects keep their uids and times; new ones have those of a store with these settings.
    #[must_use]
    pub fn fork(&self, settings: Settings) -> Self {
        let state = self.lock();
        let forked = State {
            clock: settings.clock,
            registry: state.registry.clone(),
            random: state.random.reseeded(settings.seed),
            version: state.version,
            objects: state.objects.clone(),
            history: state.history.bounded(settings.history),
            // Subscribers of one store are not subscribers of the other.
            subscribers: Vec::new(),
            places: state.places.clone(),
            dependents: state.dependents.clone(),
            tasks: state.tasks.clone(),
            addresses: state.addresses,
        };
        drop(state);
        Self { state: Arc::new(Mutex::new(forked)), changed: Arc::new(Notify::new()), clock: settings.clock }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Clock;
    use crate::json::meta;
    use crate::store::{DeleteOptions, WriteOptions};

    const NAMESPACE: &str = "default";

    fn settings(seed: u64) -> Settings {
        Settings::new(Clock::starting_at(Timestamp::UNIX_EPOCH), seed)
    }

    fn define(store: &Store) {
        let schema = json!({ "type": "object", "properties": { "spec": { "type": "object", "properties": { "a": { "type": "integer" } } } } });
        let crd = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": "things.example.com" },
            "spec": {
                "group": "example.com", "scope": "Namespaced", "names": { "plural": "things", "kind": "Thing" },
                "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
            },
        });
        let kind = store.kind("apiextensions.k8s.io/v1", "CustomResourceDefinition").unwrap();
        store.create(&kind, "", crd, &WriteOptions::by("test")).unwrap();
    }

    fn create(store: &Store, api_version: &str, kind: &str, name: &str) -> Arc<Value> {
        let body = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name }, "spec": { "a": 1, "b": 2 } });
        let kind = store.kind(api_version, kind).unwrap();
        store.create(&kind, NAMESPACE, body, &WriteOptions::by("test")).unwrap()
    }

    fn prepared(seed: u64) -> Store {
        let store = Store::new(settings(seed));
        define(&store);
        create(&store, "v1", "ConfigMap", "there");
        store
    }

    #[tokio::test]
    async fn a_fork_has_the_kinds_and_objects_of_the_original() {
        let store = prepared(1);

        let fork = store.fork(settings(1));

        let maps = fork.kind("v1", "ConfigMap").unwrap();
        assert_eq!(fork.version(), store.version());
        assert_eq!(fork.get(&maps, NAMESPACE, "there"), store.get(&maps, NAMESPACE, "there"));
        assert_eq!(create(&fork, "example.com/v1", "Thing", "x")["spec"], json!({ "a": 1 }));
    }

    #[tokio::test]
    async fn both_stores_are_independent() {
        let store = prepared(1);
        let mut followed = store.subscribe();
        let fork = store.fork(settings(1));
        let maps = fork.kind("v1", "ConfigMap").unwrap();

        create(&fork, "example.com/v1", "Thing", "x");
        fork.delete(&maps, NAMESPACE, "there", &DeleteOptions::default()).unwrap();
        let crds = fork.kind("apiextensions.k8s.io/v1", "CustomResourceDefinition").unwrap();
        fork.delete(&crds, "", "things.example.com", &DeleteOptions::default()).unwrap();

        assert!(fork.kind("example.com/v1", "Thing").is_none());
        assert!(store.get(&store.kind("example.com/v1", "Thing").unwrap(), NAMESPACE, "x").is_err());
        assert!(store.get(&maps, NAMESPACE, "there").is_ok());
        assert!(followed.try_recv().is_err());
    }

    #[tokio::test]
    async fn new_objects_are_as_in_a_store_of_that_seed() {
        let (fork, fresh) = (prepared(1).fork(settings(2)), prepared(2));

        let (one, other) =
            (create(&fork, "example.com/v1", "Thing", "x"), create(&fresh, "example.com/v1", "Thing", "x"));

        assert_eq!(one, other);
        assert_eq!(create(&fork, "v1", "ConfigMap", "new"), create(&fresh, "v1", "ConfigMap", "new"));
        assert!(!meta::uid(&one).is_empty());
    }

    #[tokio::test]
    async fn the_history_has_the_forks_limit() {
        let store = prepared(1);

        let fork = store.fork(Settings { history: 1, ..settings(1) });

        let oldest = |store: &Store| store.lock().history.oldest();
        assert_eq!((oldest(&store), oldest(&fork)), (1, store.version() - 1));
    }
}
