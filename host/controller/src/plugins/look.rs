//! One look at one Plugin: fetched, compiled and tried beside the rollouts, then served in one go.

mod restore;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use kulta_api::field_error::joined;
use kulta_api::plugin::{PluginReason, PluginStatus};
use kulta_api::validation::plugin::validate;
use kulta_api::{FieldError, Plugin};
use kulta_core::plan::EventKind;
use kulta_wasm::{CheckError, FailureClass, Kind as Served, Limits, LoadError, Loaded};
use serde_json::json;

use super::catalog::{Catalog, Entry, FetchedFor, Version};
use super::source::{Fetched, Known, SourceError};
use super::status::{self, Verdict};
use super::terms::Terms;
use super::users::{self, References, Use};
use crate::caches::Touched;
use crate::cluster::{Refusal, guarded_status, refusal, words};
use crate::controller::Controller;
use crate::decode::{CachedPlugin, PluginName};
use crate::key::Key;
use crate::kinds::Kind;
use crate::kube_events::{Message, Regarding};
use crate::queue::Outcome;

/// Keeps a Plugin that is being deleted until nobody names it, so that whoever does is told what became of it.
pub const FINALIZER: &str = "kulta.io/in-use";
/// A source that cannot be had is asked again after this.
const RETRY: SignedDuration = SignedDuration::from_secs(15);

/// What the API server holds of a Plugin, and what is to become of it.
struct Subject<'a> {
    controller: &'a Controller,
    key: &'a Key,
    cached: CachedPlugin,
    plugin: Plugin,
    names: BTreeSet<PluginName>,
    references: References,
}

pub async fn look(controller: &Controller, key: &Key) -> Outcome {
    let cached = controller.caches.read().plugins.get(key).cloned();
    let Some(cached) = cached else {
        controller.catalog.disable(&key.name, None);
        withdraw(controller, key);
        return Outcome::Done { wake_up: None };
    };
    let plugin = match cached.open() {
        Ok(plugin) => plugin,
        Err(error) => return undecodable(controller, key, &cached, &error).await,
    };
    let names = names_of(&plugin);
    let references = References::of(&controller.caches.read(), &names);
    let subject = Subject { controller, key, cached, plugin, names, references };
    let disabled = (subject.plugin.spec.disabled && !subject.cached.deleting).then(|| subject.plugin.serves());
    if controller.catalog.disable(&key.name, disabled) {
        tell_users(controller, &subject.names);
    }
    if subject.cached.deleting { subject.delete().await } else { subject.bring().await }
}

/// Nothing of it is served any more.
fn withdraw(controller: &Controller, key: &Key) {
    let served = controller.catalog.entry(&key.name);
    controller.catalog.withdraw(&key.name);
    if let Some(entry) = served {
        tell_users(controller, &all_kinds(&entry.serves));
    }
}

async fn undecodable(controller: &Controller, key: &Key, cached: &CachedPlugin, error: &FieldError) -> Outcome {
    let verdict = Verdict { reason: PluginReason::InvalidSpec, message: error.to_string() };
    let mut after = PluginStatus::default();
    status::judge(&mut after, &verdict, cached.generation, controller.clock.now());
    let known = cached.json().pointer("/status/conditions/0/message").and_then(|told| told.as_str().map(str::to_owned));
    if known.as_deref() == Some(verdict.message.as_str()) {
        return Outcome::Done { wake_up: None };
    }
    if !controller.owns_plugins() {
        tracing::warn!(plugin = key.name, "{error}");
        return Outcome::Done { wake_up: None };
    }
    let version = cached.version.to_string();
    write(controller, key, &guarded_status(&version, json!(after))).await
}

impl Subject<'_> {
    /// Nothing of it is asked any more; the object goes once nobody names it.
    async fn delete(&self) -> Outcome {
        withdraw(self.controller, self.key);
        let why = "it is being deleted".to_owned();
        self.controller.catalog.expect(&self.key.name, self.plugin.serves(), Some(why));
        let ours = self.plugin.metadata.finalizers.iter().flatten().any(|name| name == FINALIZER);
        if !ours || !self.controller.owns_plugins() {
            return Outcome::Done { wake_up: None };
        }
        if self.references.users > 0 {
            let message = format!("it is being deleted, and nothing of it is served; {}", self.users());
            let mut after = self.before();
            status::forget(&mut after);
            return self.conclude(after, &Verdict { reason: PluginReason::Deleting, message }, None).await;
        }
        let finalizers: Vec<&String> =
            self.plugin.metadata.finalizers.iter().flatten().filter(|name| *name != FINALIZER).collect();
        self.finalizers(&json!(finalizers)).await
    }

    async fn bring(&self) -> Outcome {
        let mut faults = validate(&self.plugin.spec).err().unwrap_or_default();
        let terms = match Terms::of(&self.plugin.spec) {
            Ok(terms) if faults.is_empty() => terms,
            Ok(_) => return self.refuse(PluginReason::InvalidSpec, joined(&faults)).await,
            Err((path, message)) => {
                if !faults.iter().any(|fault| fault.path == path) {
                    faults.push(FieldError { path, message });
                }
                return self.refuse(PluginReason::InvalidSpec, joined(&faults)).await;
            }
        };
        let kept = self.plugin.metadata.finalizers.iter().flatten().any(|name| name == FINALIZER);
        if !kept && self.controller.owns_plugins() {
            let mut finalizers = self.plugin.metadata.finalizers.clone().unwrap_or_default();
            finalizers.push(FINALIZER.to_owned());
            return self.finalizers(&json!(finalizers)).await;
        }
        self.resume(&terms).await;
        self.recall(&terms).await;
        if let Some((loaded, source)) = self.fetched_before() {
            if let Some(holder) = self.rival(&loaded) {
                return self.refuse(PluginReason::NameTaken, holder).await;
            }
            return self.serve(loaded, terms, source).await;
        }
        let before = self.before();
        let known = Known {
            digest: before.digest.clone(),
            resolved: before.resolved.clone(),
            resolved_image: before.resolved_image.clone(),
        };
        let fetched = match self.controller.sources.fetch(&self.plugin.spec, &known).await {
            Ok(fetched) => fetched,
            Err(error) => return self.unfetched(&error).await,
        };
        let loaded = match self.load(&fetched, &terms).await {
            Ok(loaded) => loaded,
            Err(error) => {
                let outcome = self.refuse(reason_of(&error), format!("spec.source: {error}")).await;
                return if error.is_final() { outcome } else { self.again(outcome) };
            }
        };
        if let Some(holder) = self.rival(&loaded) {
            return self.refuse(PluginReason::NameTaken, holder).await;
        }
        if let Err(why) = self.try_out(&loaded, &terms).await {
            return self.refuse(PluginReason::ConfigRejected, why).await;
        }
        self.controller.sources.keep(&fetched);
        let (uid, generation) = (self.cached.uid.clone(), self.cached.generation);
        self.serve(loaded, terms, FetchedFor { uid, generation, resolved: fetched.resolved }).await
    }

    /// The component that is served, if it was fetched for this very spec: its source is not read again.
    fn fetched_before(&self) -> Option<(Arc<Loaded>, FetchedFor)> {
        let entry = self.controller.catalog.entry(&self.key.name)?;
        let source = entry
            .source
            .filter(|source| source.uid == self.cached.uid && source.generation == self.cached.generation)?;
        Some((Arc::clone(&entry.current.loaded), source))
    }

    async fn load(&self, fetched: &Fetched, terms: &Terms) -> Result<Arc<Loaded>, LoadError> {
        let current = self.controller.catalog.entry(&self.key.name);
        let same = current
            .filter(|entry| entry.current.loaded.digest() == fetched.digest && entry.terms.limits == terms.limits);
        match same {
            Some(entry) => Ok(Arc::clone(&entry.current.loaded)),
            None => {
                let (name, component) = (&self.key.name, fetched.component.clone());
                self.controller.catalog.loader().load(name, component, limits(terms)).await
            }
        }
    }

    /// Who has one of its names already, as a message.
    fn rival(&self, loaded: &Loaded) -> Option<String> {
        let catalog = &self.controller.catalog;
        let created = self.cached.created;
        let older = |holder: &String| {
            let older = catalog.entry(holder).is_some_and(|entry| (entry.created, holder) < (created, &self.key.name));
            *holder != self.key.name && older
        };
        self.plugin.serves().into_iter().enumerate().find_map(|(index, name)| {
            let holders = loaded.kinds().iter().filter_map(|kind| Some((*kind, catalog.holder(*kind, &name)?)));
            let (kind, holder) = holders.into_iter().find(|(_, holder)| older(holder))?;
            let kind = kind.as_str();
            Some(format!("spec.serves[{index}]: the {kind} plugin {name:?} is Plugin {holder}'s, which is older"))
        })
    }

    /// Whoever is served by that name now has to be served by the new component too.
    ///
    /// # Errors
    /// Whose configuration it does not take, and why.
    async fn try_out(&self, loaded: &Arc<Loaded>, terms: &Terms) -> Result<(), String> {
        let catalog = &self.controller.catalog;
        let unchanged = catalog.entry(&self.key.name).is_some_and(|entry| {
            entry.current.loaded.digest() == loaded.digest() && entry.terms.config == terms.config
        });
        if unchanged {
            return Ok(());
        }
        let served: BTreeSet<PluginName> =
            self.names.iter().filter(|(kind, name)| catalog.serves(*kind, name)).cloned().collect();
        let configurations = users::configurations(&self.controller.caches.read(), &served);
        for Use { kind, config, place } in configurations.into_iter().filter(|used| loaded.kinds().contains(&used.kind))
        {
            match loaded.check_config(&terms.configured(&config)).await {
                Ok(()) => {}
                Err(CheckError::Invalid(errors)) => {
                    let why = errors.first().map(ToString::to_string).unwrap_or_default();
                    return Err(format!(
                        "{place}: the new component does not take this {} configuration: {why}",
                        kind.as_str()
                    ));
                }
                Err(CheckError::Call(error)) => {
                    return Err(format!("{place}: the new component failed to check this configuration: {error}"));
                }
            }
        }
        Ok(())
    }

    async fn serve(&self, loaded: Arc<Loaded>, terms: Terms, source: FetchedFor) -> Outcome {
        let catalog: &Catalog = &self.controller.catalog;
        let entry_before = catalog.entry(&self.key.name);
        let same = entry_before.as_ref().is_some_and(|entry| Arc::ptr_eq(&entry.current.loaded, &loaded));
        let current = match &entry_before {
            Some(entry) if same => Arc::clone(&entry.current),
            _ => Arc::new(Version::new(self.key.name.clone(), Arc::clone(&loaded))),
        };
        let (terms, serves) = (Arc::new(terms), self.plugin.serves());
        let news = entry_before.as_ref().is_none_or(|entry| !same || entry.terms != terms || entry.serves != serves);
        let resolved = source.resolved.clone();
        if entry_before.as_ref().and_then(|entry| entry.source.as_ref()) != Some(&source) || news {
            let created = self.cached.created;
            catalog.serve(&self.key.name, Entry { terms, serves, created, current, source: Some(source) });
        }
        if news {
            let left = entry_before.as_ref().map(|entry| all_kinds(&entry.serves)).unwrap_or_default();
            tell_users(self.controller, &self.names.union(&left).cloned().collect());
        }
        let pins = &self.references.pins;
        catalog.shrink(&self.key.name, &|digest| pins.contains(digest));
        let mut after = self.before();
        let swapped = after.digest != loaded.digest();
        let event = swapped.then(|| match after.digest.as_str() {
            "" => format!("Serving {}", loaded.digest()),
            before => format!("Serving {} in place of {before}", loaded.digest()),
        });
        status::describe(&mut after, &loaded, resolved);
        let message = format!("{} is served; {}", loaded.digest(), self.users());
        self.conclude(after, &Verdict { reason: PluginReason::Serving, message }, event).await
    }

    /// What was served stays; the status says why.
    async fn refuse(&self, reason: PluginReason, message: String) -> Outcome {
        let message = match self.controller.catalog.entry(&self.key.name) {
            Some(entry) => format!("{message}; {} is still served", entry.current.loaded.digest()),
            None => {
                self.controller.catalog.expect(&self.key.name, self.plugin.serves(), Some(message.clone()));
                message
            }
        };
        self.conclude(self.before(), &Verdict { reason, message: message.clone() }, Some(message)).await
    }

    async fn unfetched(&self, error: &SourceError) -> Outcome {
        let outcome = self.refuse(error.reason(), error.to_string()).await;
        if error.may_pass() { self.again(outcome) } else { outcome }
    }

    /// What failed may go well later.
    fn again(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Done { .. } => Outcome::Done { wake_up: self.controller.clock.now().checked_add(RETRY).ok() },
            failed => failed,
        }
    }

    async fn conclude(&self, mut after: PluginStatus, verdict: &Verdict, event: Option<String>) -> Outcome {
        let controller = self.controller;
        if !controller.owns_plugins() {
            if controller.catalog.is_news(&self.key.name, verdict.reason, &after.digest) {
                let (reason, message) = (verdict.reason.as_str(), &verdict.message);
                tracing::info!(plugin = self.key.name, reason, "{message}");
            }
            return Outcome::Done { wake_up: None };
        }
        after.users = i32::try_from(self.references.users).unwrap_or(i32::MAX);
        status::judge(&mut after, verdict, self.cached.generation, controller.clock.now());
        let before = self.before();
        let Some(patch) = status::patch(&before, &after) else { return Outcome::Done { wake_up: None } };
        let told = |status: &PluginStatus| {
            status.conditions.first().map(|condition| (condition.reason.clone(), condition.observed_generation))
        };
        let news = told(&before) != told(&after) || before.digest != after.digest;
        let version = self.plugin.metadata.resource_version.clone().unwrap_or_default();
        let outcome = write(controller, self.key, &guarded_status(&version, patch)).await;
        if let (Outcome::Done { .. }, Some(message), true) = (&outcome, event, news) {
            self.event(verdict, message);
        }
        outcome
    }

    fn event(&self, verdict: &Verdict, message: String) {
        tracing::info!(plugin = self.key.name, reason = verdict.reason.as_str(), "{message}");
        let kind = if verdict.is_ready() { EventKind::Normal } else { EventKind::Warning };
        let uid = self.cached.uid.clone();
        let name = format!("{uid}.{}.{}", self.cached.version, verdict.reason.as_str());
        let regarding = Regarding { kind: Kind::Plugin, key: self.key.clone(), uid };
        let message = Message { name, kind, reason: verdict.reason.as_str(), message };
        self.controller.recorder.record(&regarding, message);
    }

    async fn finalizers(&self, finalizers: &serde_json::Value) -> Outcome {
        let version = self.plugin.metadata.resource_version.clone().unwrap_or_default();
        let patch = json!({ "metadata": { "resourceVersion": version, "finalizers": finalizers } });
        answer(self.key, self.controller.cluster.merge(Kind::Plugin, self.key, &patch).await.map(drop))
    }

    fn before(&self) -> PluginStatus {
        self.plugin.status.clone().unwrap_or_default()
    }

    fn users(&self) -> String {
        match self.references.users {
            0 => "nobody names it".to_owned(),
            1 => "1 rollout or template names it".to_owned(),
            users => format!("{users} rollouts and templates name it"),
        }
    }
}

async fn write(controller: &Controller, key: &Key, patch: &serde_json::Value) -> Outcome {
    answer(key, controller.cluster.patch_status(Kind::Plugin, key, patch).await.map(drop))
}

fn answer(key: &Key, result: Result<(), kube::Error>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done { wake_up: None },
        Err(error) => {
            // A newer object will wake the key.
            match refusal(&error) {
                Refusal::Conflict | Refusal::Gone => tracing::debug!(plugin = key.name, "{}", words(&error)),
                _ => tracing::warn!(plugin = key.name, "write a Plugin: {}", words(&error)),
            }
            Outcome::Failed { not_before: None }
        }
    }
}

/// Looks again at whoever names one of these.
pub(crate) fn tell_users(controller: &Controller, names: &BTreeSet<PluginName>) {
    let keys = users::rollouts(&controller.caches.read(), names);
    let analyses = names.iter().any(|(kind, _)| matches!(kind, Served::Analyzer | Served::Condition));
    let mut touched = Touched { keys, ..Touched::default() };
    if analyses {
        touched.keys.extend(controller.caches.read().rollouts_with_analyses(None));
    }
    controller.plugins_changed();
    controller.touched(touched);
}

fn names_of(plugin: &Plugin) -> BTreeSet<PluginName> {
    all_kinds(&plugin.serves())
}

/// A Plugin's kinds are known once it is loaded; who names one of its names as any kind may be concerned.
fn all_kinds(names: &[String]) -> BTreeSet<PluginName> {
    Served::ALL.into_iter().flat_map(|kind| names.iter().map(move |name| (kind, name.clone()))).collect()
}

fn limits(terms: &Terms) -> Limits {
    let memory = usize::try_from(terms.limits.memory_bytes).unwrap_or(usize::MAX);
    Limits { memory_bytes: memory, deadline: Duration::from_millis(terms.limits.time_millis), ..Limits::default() }
}

fn reason_of(error: &LoadError) -> PluginReason {
    match error {
        LoadError::TooCostly(_) | LoadError::Compiler(_) => PluginReason::CompileFailed,
        error if error.class() == FailureClass::Host => PluginReason::CompileFailed,
        _ => PluginReason::Refused,
    }
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
