//! Rollouts.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::{FieldError, Rollout, RolloutPhase, Unchecked};
use serde_json::Value;

use super::kind::stored_in;
use super::plugin_references::{PluginPin, changed_references, pins_of_rollout};
use super::raw_json::RawJson;
use super::references::{References, references};
use super::{CachedKind, ChangeSet, Contents, Scope, Selection, Store};
use crate::key::Key;
use crate::kinds::Kind;
use crate::object::{Object, text, version};

#[derive(Clone, Debug)]
pub struct CachedRollout {
    pub uid: String,
    pub version: u64,
    /// Of two that conflict the older one goes on.
    pub created: Timestamp,
    /// If false, nobody knows what it refers to.
    pub decodable: bool,
    /// From its status; an undecodable rollout is Degraded.
    pub phase: Option<RolloutPhase>,
    pub references: References,
    /// The components that its revision in progress began with.
    pub pins: BTreeSet<PluginPin>,
    unknown_fields: Arc<[FieldError]>,
    /// A list in the place of an object, where the CRD lets it through.
    malformed: Option<FieldError>,
    object: RawJson,
}

#[derive(Debug)]
pub enum Decoded {
    Rollout {
        rollout: Box<Rollout>,
        /// Fields of `spec` that the API does not have.
        unknown_fields: Arc<[FieldError]>,
    },
    /// The object as it is, so that its status can say what is wrong with it.
    Undecodable { object: Value, error: FieldError },
}

fn rollout(mut object: Object) -> CachedRollout {
    object.trim();
    let key = object.key();
    let metadata = object.json.get("metadata").unwrap_or(&Value::Null);
    let uid = text(metadata, "uid").to_owned();
    let version = version(text(metadata, "resourceVersion"));
    let created = text(metadata, "creationTimestamp").parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let json = RawJson::of(&object.json);
    let Unchecked { unknown_fields, lists_for_objects } = kulta_api::unchecked(&object.json);
    let malformed = lists_for_objects.into_iter().next();
    let decoded: Option<Rollout> = json.decode().ok().filter(|_| malformed.is_none());
    CachedRollout {
        uid,
        version,
        created,
        decodable: decoded.is_some(),
        phase: match &decoded {
            Some(rollout) => rollout.status.as_ref().and_then(|status| status.phase),
            None => Some(RolloutPhase::Degraded),
        },
        pins: decoded.as_ref().map(pins_of_rollout).unwrap_or_default(),
        references: decoded.map(|rollout| references(&key.namespace, &rollout)).unwrap_or_default(),
        unknown_fields: unknown_fields.into(),
        malformed,
        object: json,
    }
}

impl CachedRollout {
    #[must_use]
    pub fn open(&self) -> Decoded {
        if let Some(error) = &self.malformed {
            return Decoded::Undecodable { object: self.object.parse(), error: error.clone() };
        }
        let of = |rollout| Decoded::Rollout { rollout, unknown_fields: Arc::clone(&self.unknown_fields) };
        if let Ok(rollout) = self.object.decode() {
            return of(Box::new(rollout));
        }
        // Once more, for the path of the field that cannot be decoded.
        let object = self.object.parse();
        match kulta_api::decode(&object) {
            Ok(rollout) => of(Box::new(rollout)),
            Err(error) => Decoded::Undecodable { object, error },
        }
    }
}

pub struct Rollouts;

impl CachedKind for Rollouts {
    const KIND: Kind = Kind::Rollout;
    const OPTIONAL: bool = false;
    const SELECTION: Selection = Selection::Instance;

    stored_in!(rollouts, CachedRollout);

    fn decode(object: Object) -> CachedRollout {
        rollout(object)
    }

    fn set(contents: &mut Contents, key: Key, rollout: CachedRollout) -> ChangeSet {
        let mut changes = ChangeSet { rollouts: BTreeSet::from([key.clone()]), ..ChangeSet::default() };
        let before = contents.rollouts.remove(&key);
        let used = before.as_ref().map(|before| (&before.references.plugins, &before.pins));
        changes.plugin_references = changed_references(used, (&rollout.references.plugins, &rollout.pins));
        let same =
            before.as_ref().is_some_and(|before| before.uid == rollout.uid && before.references == rollout.references);
        if same {
            contents.rollouts.set(key, rollout);
            return changes;
        }
        let mut no_longer_named = BTreeSet::new();
        if let Some(before) = before {
            changes.rollouts.extend(contents.sharing_services(&key, &before));
            changes.rollouts.extend(contents.sharing_routes(&key, &before));
            changes.rollouts.extend(contents.remove_overlaps(&key));
            no_longer_named.clone_from(&before.references.services);
            contents.index.remove_rollout(&key, &before.uid, &before.references);
            if before.uid != rollout.uid {
                changes.removed_rollout = Some((key.clone(), before.uid));
            }
        }
        contents.index.add_rollout(&key, &rollout.uid, &rollout.references);
        changes.rollouts.extend(contents.sharing_services(&key, &rollout));
        changes.rollouts.extend(contents.sharing_routes(&key, &rollout));
        changes.rollouts.extend(contents.add_overlaps(&key, &rollout));
        contents.rollouts.set(key.clone(), rollout);
        changes.orphans = contents.orphans_among(&key, &no_longer_named);
        changes
    }

    fn remove(contents: &mut Contents, key: &Key) -> ChangeSet {
        let mut changes = ChangeSet::default();
        let Some(before) = contents.rollouts.remove(key) else { return changes };
        changes.plugin_references = changed_references(None, (&before.references.plugins, &before.pins));
        changes.rollouts.insert(key.clone());
        changes.rollouts.extend(contents.sharing_services(key, &before));
        changes.rollouts.extend(contents.sharing_routes(key, &before));
        changes.rollouts.extend(contents.remove_overlaps(key));
        contents.index.remove_rollout(key, &before.uid, &before.references);
        changes.orphans = contents.orphans_among(key, &before.references.services);
        changes.removed_rollout = Some((key.clone(), before.uid));
        changes
    }

    fn rollouts_of_watch(_: &Contents, _: &Scope) -> BTreeSet<Key> {
        BTreeSet::new()
    }
}

impl Contents {
    /// Other rollouts that name one of the same Services.
    fn sharing_services(&self, key: &Key, rollout: &CachedRollout) -> BTreeSet<Key> {
        let services = rollout.references.services.iter().map(|service| key.sibling(service));
        let naming = services.flat_map(|service| self.index.rollouts_of_service(&service).cloned().collect::<Vec<_>>());
        naming.filter(|other| other != key).collect()
    }
}

#[cfg(test)]
mod tests {
    use kulta_api::{RouteKey, RouteKind};
    use serde_json::json;

    use super::super::references::RouteReferences;
    use super::*;

    fn cached(strategy: &Value) -> CachedRollout {
        rollout(Object::new(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": { "name": "shop", "namespace": "ns", "uid": "u", "resourceVersion": "5" },
            "spec": { "selector": { "matchLabels": { "app": "shop" } }, "strategy": strategy },
        })))
    }

    #[test]
    fn a_rollout_refers_to_its_services_and_routes() {
        let cached = cached(&json!({ "canary": {
            "canaryService": "shop-canary", "stableService": "shop",
            "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": {
                "namespace": "edge", "httpRoute": "one", "httpRoutes": [{ "name": "two" }],
                "httpRouteSelector": { "matchLabels": { "team": "x" } },
            } } },
        } }));

        let references = &cached.references;
        assert_eq!(references.services.iter().collect::<Vec<_>>(), ["shop", "shop-canary"]);
        assert_eq!(references.routes.named, ["one", "two"].map(|name| RouteKey::new(RouteKind::Http, "edge", name)));
        assert_eq!(references.routes.places().collect::<Vec<_>>(), [(RouteKind::Http, "edge"); 3]);
    }

    #[test]
    fn an_undecodable_rollout_is_kept_with_its_error() {
        let cached = cached(&json!({ "canary": { "steps": 5 } }));

        let Decoded::Undecodable { object, error } = cached.open() else { panic!("decoded") };
        assert_eq!((cached.uid.as_str(), cached.version), ("u", 5));
        assert!(error.path.starts_with("spec.strategy.canary"), "{error}");
        assert_eq!(object["spec"]["strategy"]["canary"]["steps"], 5);
    }

    #[test]
    fn a_list_in_the_place_of_an_object_is_not_decoded() {
        let cached = cached(&json!({ "canary": { "steps": [{ "pause": ["5m"] }] } }));

        let Decoded::Undecodable { error, .. } = cached.open() else { panic!("decoded") };
        assert_eq!(error.path, "spec.strategy.canary.steps[0].pause");
    }

    #[test]
    fn a_gateway_configuration_that_cannot_be_read_refers_to_nothing() {
        let cached =
            cached(&json!({ "canary": { "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": 5 } } } }));

        assert_eq!(cached.references.routes, RouteReferences::default());
    }
}
