//! From the caches to what core takes as observed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kulta_api::{FieldError, Rollout, RouteKey};
use kulta_core::analysis::{Scope as TemplateScope, TemplateRef, Templates};
use kulta_core::observed::{Analyzer, Observed, ObservedRoute, Route, RouteState};
use kulta_core::pins::PluginKind;
use kulta_wasm::Kind;
use serde_json::Value;

use crate::cache::{CachedRollout, Contents, Decoded, WatchState};
use crate::clock::Clock;
use crate::key::Key;
use crate::kinds::Kind as ObjectKind;
use crate::local_state::LocalState;
use crate::plugins::PluginRegistry;

/// What the caches hold of a rollout.
#[derive(Debug)]
pub enum Observation {
    Gone,
    /// Something that it refers to is not listed yet: wait for the first list.
    Filling,
    /// A ReplicaSet of the rollout cannot be read: nothing is decided without it.
    Unreadable(serde_json::Error),
    Undecodable {
        object: Value,
        error: FieldError,
    },
    Rollout(Box<Observed>),
}

pub struct View<'a> {
    pub caches: &'a Contents,
    pub local: &'a LocalState,
    pub clock: &'a dyn Clock,
    pub record_kept: bool,
    pub analyzers: &'a Arc<Vec<Analyzer>>,
    pub registry: &'a PluginRegistry,
}

impl View<'_> {
    pub fn observe(&self, key: &Key) -> Observation {
        let Some(cached) = self.caches.rollouts.get(key) else { return Observation::Gone };
        let (mut rollout, unknown_fields) = match cached.open() {
            Decoded::Rollout { rollout, unknown_fields } => (*rollout, unknown_fields),
            Decoded::Undecodable { object, error } => return Observation::Undecodable { object, error },
        };
        if self.filling(key, cached) {
            return Observation::Filling;
        }
        let replica_sets = self.caches.index.replica_sets(&cached.uid);
        let replica_sets = replica_sets.filter_map(|name| self.caches.replica_sets.get(name));
        let revisions = match replica_sets.map(|cached| cached.open().map(Arc::new)).collect() {
            Ok(revisions) => revisions,
            Err(error) => return Observation::Unreadable(error),
        };
        if let Some(record) = &self.local.record {
            rollout.status.get_or_insert_default().kulta.get_or_insert_with(|| record.clone());
        }
        let generation = rollout.metadata.generation.unwrap_or(0);
        let create_error =
            self.local.create_error.as_ref().filter(|(of, _)| *of == generation).map(|(_, message)| message.clone());
        Observation::Rollout(Box::new(Observed {
            revisions,
            services: cached
                .references
                .services
                .iter()
                .map(|name| {
                    let service = self.caches.services.get(&key.sibling(name));
                    (name.clone(), service.map(|cached| Arc::clone(&cached.service)))
                })
                .collect(),
            routes: self.routes(key, cached),
            conflicting_services: self.conflicting_services(key, cached),
            conflicting_selector: self.caches.older_conflicting(key).map(|other| other.name.clone()),
            strategy_errors: Vec::new(),
            strategy_failure: None,
            analyzer_errors: Vec::new(),
            template_warnings: Vec::new(),
            unknown_fields: unknown_fields.to_vec(),
            record_kept: self.record_kept,
            create_error,
            taken_names: self.local.taken_names.clone(),
            templates: self.templates(key, &rollout),
            analyzers: Arc::clone(self.analyzers),
            pins: self.pins(cached),
            runs: self
                .caches
                .index
                .runs(&cached.uid)
                .filter_map(|name| self.caches.runs.get(name))
                .map(|cached| cached.open_as_far_as_possible())
                .map(Arc::new)
                .collect(),
            taken_run_names: self.local.taken_run_names.clone(),
            step_answers: self.local.step_calls.completed(),
            unstored_call: self.local.step_calls.unstored(),
            step_errors: Vec::new(),
            disabled_step_plugins: self.disabled_step_plugins(&rollout),
            delivered: self.local.delivered,
            rollout,
        }))
    }

    fn disabled_step_plugins(&self, rollout: &Rollout) -> BTreeSet<String> {
        let steps = rollout.spec.strategy.canary.iter().flat_map(|canary| &canary.steps);
        let named = steps.filter_map(|step| Some(&step.plugin.as_ref()?.name));
        named.filter(|name| self.registry.skips_steps(name)).cloned().collect()
    }

    /// The components that serve what the spec names now.
    fn pins(&self, cached: &CachedRollout) -> BTreeMap<String, String> {
        let named = cached.references.plugins.iter();
        named
            .filter_map(|(kind, name)| {
                let plugin_kind = match kind {
                    Kind::Strategy => PluginKind::Strategy,
                    Kind::Step => PluginKind::Step,
                    Kind::Analyzer | Kind::Enricher | Kind::Condition => return None,
                };
                Some((plugin_kind.key(name), self.registry.pin(*kind, name)?.to_string()))
            })
            .collect()
    }

    /// The templates that the rollout names, and those that they name, as far as they exist.
    fn templates(&self, key: &Key, rollout: &Rollout) -> Templates {
        let find = |named: &TemplateRef| match named.scope {
            TemplateScope::Namespace => self.caches.templates.get(&key.sibling(&named.name)),
            TemplateScope::Cluster => self.caches.cluster_templates.get(&Key::new("", named.name.as_str())),
        };
        let mut found = Templates::new();
        loop {
            let wanted = kulta_core::reference::templates(rollout, &found);
            let more: Vec<_> = wanted
                .into_iter()
                .filter(|named| !found.contains_key(named))
                .filter_map(|named| Some((named.clone(), find(&named)?.spec.clone())))
                .collect();
            if more.is_empty() {
                return found;
            }
            found.extend(more);
        }
    }

    /// Something that the rollout refers to is not listed yet.
    fn filling(&self, key: &Key, rollout: &CachedRollout) -> bool {
        let unknown =
            |kind, namespace: &str| matches!(self.caches.watch(kind, namespace), None | Some(WatchState::Filling));
        let references = &rollout.references;
        let analyses = !references.analyses.is_empty()
            && [ObjectKind::AnalysisRun, ObjectKind::AnalysisTemplate, ObjectKind::ClusterAnalysisTemplate]
                .into_iter()
                .any(|kind| unknown(kind, &key.namespace));
        analyses || references.routes.places().any(|(kind, namespace)| unknown(ObjectKind::Route(kind), namespace))
    }

    fn routes(&self, key: &Key, rollout: &CachedRollout) -> Vec<ObservedRoute> {
        let references = &rollout.references.routes;
        let mut routes: Vec<RouteKey> = references.named.clone();
        for route in references.selected.iter().flat_map(|selected| self.caches.routes.selected(selected)) {
            if !routes.contains(&route) {
                routes.push(route);
            }
        }
        routes.into_iter().map(|route| ObservedRoute { state: self.route(key, &route), key: route }).collect()
    }

    fn route(&self, rollout: &Key, key: &RouteKey) -> RouteState {
        match self.caches.watch(ObjectKind::Route(key.kind), &key.namespace) {
            Some(WatchState::NotInstalled) => return RouteState::NotInstalled,
            Some(WatchState::Forbidden(message)) => {
                return RouteState::Forbidden { message: message.clone(), until: None };
            }
            _ => {}
        }
        let Some(cached) = self.caches.routes.get(key) else { return RouteState::Missing };
        let local = self.local.routes.get(key).cloned().unwrap_or_default();
        if let Some((message, until)) = &local.forbidden
            && *until > self.clock.now()
        {
            return RouteState::Forbidden { message: message.clone(), until: Some(*until) };
        }
        let route = cached.open();
        RouteState::Found(Arc::new(Route {
            last_write: local.last_write,
            refused: local.refused,
            accepted: local.accepted,
            other_rollouts: self.caches.other_rollouts_of_route(rollout, key, &route.labels),
            foreign_split: self.caches.has_foreign_split(&route, &key.namespace),
            ..route
        }))
    }

    fn conflicting_services(&self, key: &Key, rollout: &CachedRollout) -> BTreeMap<String, String> {
        rollout
            .references
            .services
            .iter()
            .filter_map(|service| {
                let service_key = key.sibling(service);
                let other = self.caches.index.rollouts_of_service(&service_key).filter(|one| *one != key).min()?;
                Some((service.clone(), other.name.clone()))
            })
            .collect()
    }
}
