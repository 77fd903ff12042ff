//! Reconciles Plugins: a component is fetched, compiled and tried beside the rollouts, then served in one step.

mod restore;
mod trial;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use kulta_api::field_error::joined;
use kulta_api::plugin::{PluginReason, PluginStatus};
use kulta_api::validation::plugin::validate;
use kulta_api::{FieldError, Plugin};
use kulta_core::plan::EventKind;
use kulta_wasm::{FailureClass, Kind as Served, Limits, LoadError, Loaded};
use serde_json::{Value, json};

use super::policy::PluginPolicy;
use super::references::{self, References};
use super::registry::{Entry, FetchedFor, PluginRegistry, Version};
use super::source::{Fetched, Known, SourceError, Sources};
use super::status::{self, Verdict};
use crate::api_error::{ApiErrorClass, error_message};
use crate::cache::{CachedPlugin, Caches, PluginName};
use crate::clock::Clock;
use crate::cluster::{Cluster, guarded_status};
use crate::key::Key;
use crate::kinds::Kind;
use crate::kube_events::{Message, Regarding};
use crate::queue::Outcome;
use crate::recorder::Recorder;
use crate::worker::Reconciler;

/// Keeps a Plugin that is being deleted until nobody names it, so that its status can say what became of it.
pub const FINALIZER: &str = "kulta.io/in-use";
/// Delay until a source that is not available is read again.
const RETRY: SignedDuration = SignedDuration::from_secs(15);

/// Where it is reported that other components are served than before.
pub trait ServedSink: Send + Sync + 'static {
    /// These rollouts name one of the plugins that are concerned.
    fn served(&self, rollouts: BTreeSet<Key>);
}

/// Serves the components of Plugin objects.
pub struct PluginReconciler {
    pub caches: Arc<Caches>,
    pub registry: Arc<PluginRegistry>,
    pub sources: Sources,
    pub cluster: Cluster,
    pub clock: Arc<dyn Clock>,
    pub recorder: Arc<Recorder>,
    pub sink: Arc<dyn ServedSink>,
    /// This controller writes the status of Plugins. A controller that serves a few namespaces beside others only reads them, unless it has
    /// Plugins of its own by an instance id: it observes only a part of those who name a Plugin.
    pub writes_status: bool,
}

impl Reconciler for PluginReconciler {
    const KIND: Kind = Kind::Plugin;

    async fn reconcile(&self, key: &Key) -> Outcome {
        let cached = self.caches.read().plugins.get(key).cloned();
        let Some(cached) = cached else {
            self.registry.disable(&key.name, None);
            self.withdraw(key);
            return Outcome::DONE;
        };
        let plugin = match cached.open() {
            Ok(plugin) => plugin,
            Err(error) => return self.undecodable(key, &cached, &error).await,
        };
        let names = names_of(&plugin);
        let references = References::of(&self.caches.read(), &names);
        let subject = Subject { reconciler: self, key, cached, plugin, names, references };
        let disabled = (subject.plugin.spec.disabled && !subject.cached.deleting).then(|| subject.plugin.serves());
        if self.registry.disable(&key.name, disabled) {
            self.report_to_users(&subject.names);
        }
        if subject.cached.deleting { subject.delete().await } else { subject.sync().await }
    }
}

impl PluginReconciler {
    /// Nothing of it is served any more.
    fn withdraw(&self, key: &Key) {
        let served = self.registry.entry(&key.name);
        self.registry.withdraw(&key.name);
        if let Some(entry) = served {
            self.report_to_users(&all_kinds(&entry.serves));
        }
    }

    async fn undecodable(&self, key: &Key, cached: &CachedPlugin, error: &FieldError) -> Outcome {
        let verdict = Verdict { reason: PluginReason::InvalidSpec, message: error.to_string() };
        let mut after = PluginStatus::default();
        status::judge(&mut after, &verdict, cached.generation, self.clock.now());
        let known = cached.json().pointer("/status/conditions/0/message").and_then(Value::as_str).map(str::to_owned);
        if known.as_deref() == Some(verdict.message.as_str()) {
            return Outcome::DONE;
        }
        if !self.writes_status {
            tracing::warn!(plugin = key.name, "{error}");
            return Outcome::DONE;
        }
        let version = cached.version.to_string();
        self.write(key, &guarded_status(&version, json!(after))).await
    }

    async fn write(&self, key: &Key, patch: &Value) -> Outcome {
        outcome(key, self.cluster.patch_status(Kind::Plugin, key, patch).await.map(drop))
    }

    /// The rollouts that name one of these are reconciled.
    fn report_to_users(&self, names: &BTreeSet<PluginName>) {
        let mut rollouts = references::rollouts(&self.caches.read(), names);
        if names.iter().any(|(kind, _)| matches!(kind, Served::Analyzer | Served::Condition)) {
            rollouts.extend(self.caches.read().rollouts_with_analyses(None));
        }
        self.sink.served(rollouts);
    }
}

/// One Plugin under reconciliation.
struct Subject<'a> {
    reconciler: &'a PluginReconciler,
    key: &'a Key,
    cached: CachedPlugin,
    plugin: Plugin,
    names: BTreeSet<PluginName>,
    references: References,
}

impl Subject<'_> {
    /// Nothing of it is called any more; the object is deleted once nobody names it.
    async fn delete(&self) -> Outcome {
        self.reconciler.withdraw(self.key);
        let why = "it is being deleted".to_owned();
        self.reconciler.registry.set_pending(&self.key.name, self.plugin.serves(), Some(why));
        let ours = self.plugin.metadata.finalizers.iter().flatten().any(|name| name == FINALIZER);
        if !ours || !self.reconciler.writes_status {
            return Outcome::DONE;
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

    async fn sync(&self) -> Outcome {
        let mut faults = validate(&self.plugin.spec).err().unwrap_or_default();
        let policy = match PluginPolicy::of(&self.plugin.spec) {
            Ok(policy) if faults.is_empty() => policy,
            Ok(_) => return self.refuse(PluginReason::InvalidSpec, joined(&faults)).await,
            Err((path, message)) => {
                if !faults.iter().any(|fault| fault.path == path) {
                    faults.push(FieldError { path, message });
                }
                return self.refuse(PluginReason::InvalidSpec, joined(&faults)).await;
            }
        };
        let kept = self.plugin.metadata.finalizers.iter().flatten().any(|name| name == FINALIZER);
        if !kept && self.reconciler.writes_status {
            let mut finalizers = self.plugin.metadata.finalizers.clone().unwrap_or_default();
            finalizers.push(FINALIZER.to_owned());
            return self.finalizers(&json!(finalizers)).await;
        }
        self.resume(&policy).await;
        self.recall(&policy).await;
        if let Some((loaded, source)) = self.fetched_before() {
            if let Some(holder) = self.conflicting(&loaded) {
                return self.refuse(PluginReason::NameTaken, holder).await;
            }
            return self.serve(loaded, policy, source).await;
        }
        let before = self.before();
        let known = Known {
            digest: before.digest.clone(),
            resolved: before.resolved.clone(),
            resolved_image: before.resolved_image.clone(),
        };
        let fetched = match self.reconciler.sources.fetch(&self.plugin.spec, &known).await {
            Ok(fetched) => fetched,
            Err(error) => return self.unfetched(&error).await,
        };
        let loaded = match self.load(&fetched, &policy).await {
            Ok(loaded) => loaded,
            Err(error) => {
                let outcome = self.refuse(reason_of(&error), format!("spec.source: {error}")).await;
                return if error.is_final() { outcome } else { self.retry_later(outcome) };
            }
        };
        if let Some(holder) = self.conflicting(&loaded) {
            return self.refuse(PluginReason::NameTaken, holder).await;
        }
        if let Err(why) = self.try_out(&loaded, &policy).await {
            return self.refuse(PluginReason::ConfigRejected, why).await;
        }
        self.reconciler.sources.store_component(&fetched);
        let (uid, generation) = (self.cached.uid.clone(), self.cached.generation);
        self.serve(loaded, policy, FetchedFor { uid, generation, resolved: fetched.resolved }).await
    }

    /// The component that is served, if it was fetched for this very spec: its source is not read again.
    fn fetched_before(&self) -> Option<(Arc<Loaded>, FetchedFor)> {
        let entry = self.reconciler.registry.entry(&self.key.name)?;
        let source = entry
            .source
            .filter(|source| source.uid == self.cached.uid && source.generation == self.cached.generation)?;
        Some((Arc::clone(&entry.current.loaded), source))
    }

    async fn load(&self, fetched: &Fetched, policy: &PluginPolicy) -> Result<Arc<Loaded>, LoadError> {
        let current = self.reconciler.registry.entry(&self.key.name);
        let same = current
            .filter(|entry| entry.current.loaded.digest() == fetched.digest && entry.policy.limits == policy.limits);
        match same {
            Some(entry) => Ok(Arc::clone(&entry.current.loaded)),
            None => {
                let (name, component) = (&self.key.name, fetched.component.clone());
                self.reconciler.registry.loader().load(name, component, limits(policy)).await
            }
        }
    }

    async fn serve(&self, loaded: Arc<Loaded>, policy: PluginPolicy, source: FetchedFor) -> Outcome {
        let registry: &PluginRegistry = &self.reconciler.registry;
        let entry_before = registry.entry(&self.key.name);
        let same = entry_before.as_ref().is_some_and(|entry| Arc::ptr_eq(&entry.current.loaded, &loaded));
        let current = match &entry_before {
            Some(entry) if same => Arc::clone(&entry.current),
            _ => Arc::new(Version::new(self.key.name.clone(), Arc::clone(&loaded))),
        };
        let (policy, serves) = (Arc::new(policy), self.plugin.serves());
        let news = entry_before.as_ref().is_none_or(|entry| !same || entry.policy != policy || entry.serves != serves);
        let resolved = source.resolved.clone();
        if entry_before.as_ref().and_then(|entry| entry.source.as_ref()) != Some(&source) || news {
            let created = self.cached.created;
            registry.serve(&self.key.name, Entry { policy, serves, created, current, source: Some(source) });
        }
        if news {
            let left = entry_before.as_ref().map(|entry| all_kinds(&entry.serves)).unwrap_or_default();
            self.reconciler.report_to_users(&self.names.union(&left).cloned().collect());
        }
        let pins = &self.references.pins;
        registry.drop_unused(&self.key.name, &|digest| pins.contains(digest));
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
        let message = match self.reconciler.registry.entry(&self.key.name) {
            Some(entry) => format!("{message}; {} is still served", entry.current.loaded.digest()),
            None => {
                self.reconciler.registry.set_pending(&self.key.name, self.plugin.serves(), Some(message.clone()));
                message
            }
        };
        self.conclude(self.before(), &Verdict { reason, message: message.clone() }, Some(message)).await
    }

    async fn unfetched(&self, error: &SourceError) -> Outcome {
        let outcome = self.refuse(error.reason(), error.to_string()).await;
        if error.may_pass() { self.retry_later(outcome) } else { outcome }
    }

    /// What failed may go well later.
    fn retry_later(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Done { .. } => Outcome::Done { wake_up: self.reconciler.clock.now().checked_add(RETRY).ok() },
            failed => failed,
        }
    }

    async fn conclude(&self, mut after: PluginStatus, verdict: &Verdict, event: Option<String>) -> Outcome {
        let reconciler = self.reconciler;
        if !reconciler.writes_status {
            if reconciler.registry.is_new_to_log(&self.key.name, verdict.reason, &after.digest) {
                let (reason, message) = (verdict.reason.as_str(), &verdict.message);
                tracing::info!(plugin = self.key.name, reason, "{message}");
            }
            return Outcome::DONE;
        }
        after.users = i32::try_from(self.references.users).unwrap_or(i32::MAX);
        status::judge(&mut after, verdict, self.cached.generation, reconciler.clock.now());
        let before = self.before();
        let Some(patch) = status::patch(&before, &after) else { return Outcome::DONE };
        let shown = |status: &PluginStatus| {
            status.conditions.first().map(|condition| (condition.reason.clone(), condition.observed_generation))
        };
        let news = shown(&before) != shown(&after) || before.digest != after.digest;
        let version = self.plugin.metadata.resource_version.clone().unwrap_or_default();
        let outcome = reconciler.write(self.key, &guarded_status(&version, patch)).await;
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
        self.reconciler.recorder.record(&regarding, message);
    }

    async fn finalizers(&self, finalizers: &Value) -> Outcome {
        let version = self.plugin.metadata.resource_version.clone().unwrap_or_default();
        let patch = json!({ "metadata": { "resourceVersion": version, "finalizers": finalizers } });
        outcome(self.key, self.reconciler.cluster.merge(Kind::Plugin, self.key, &patch).await.map(drop))
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

fn outcome(key: &Key, result: Result<(), kube::Error>) -> Outcome {
    match result {
        Ok(()) => Outcome::DONE,
        Err(error) => {
            // A newer object will wake the key.
            match ApiErrorClass::of(&error) {
                ApiErrorClass::Conflict | ApiErrorClass::Gone => {
                    tracing::debug!(plugin = key.name, "{}", error_message(&error))
                }
                _ => tracing::warn!(plugin = key.name, "write a Plugin: {}", error_message(&error)),
            }
            Outcome::RETRY
        }
    }
}

fn names_of(plugin: &Plugin) -> BTreeSet<PluginName> {
    all_kinds(&plugin.serves())
}

/// A Plugin's kinds are known once it is loaded; who names one of its names as any kind may be concerned.
fn all_kinds(names: &[String]) -> BTreeSet<PluginName> {
    Served::ALL.into_iter().flat_map(|kind| names.iter().map(move |name| (kind, name.clone()))).collect()
}

fn limits(policy: &PluginPolicy) -> Limits {
    let memory = usize::try_from(policy.limits.memory_bytes).unwrap_or(usize::MAX);
    Limits { memory_bytes: memory, deadline: Duration::from_millis(policy.limits.time_millis), ..Limits::default() }
}

fn reason_of(error: &LoadError) -> PluginReason {
    match error {
        LoadError::TooCostly(_) | LoadError::Compiler(_) => PluginReason::CompileFailed,
        error if error.class() == FailureClass::Host => PluginReason::CompileFailed,
        _ => PluginReason::Refused,
    }
}

#[cfg(test)]
mod reconciler_tests;
