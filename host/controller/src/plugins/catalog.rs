//! What is served under which name, and what earlier revisions still run by.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;
use kulta_api::plugin::PluginReason;
use kulta_wasm::{
    AnalyzerPlugin, ConditionPlugin, EnricherPlugin, Kind, Loaded, LookupError, Plugins, StepPlugin, StrategyPlugin,
};

use super::breaker::Breaker;
use super::choice::{Choice, ChoiceError, Pin};
use super::terms::{SharedTerms, Terms};

/// One component that an admin brought.
#[derive(Debug)]
pub struct Version {
    /// The Plugin object's name.
    pub plugin: String,
    pub loaded: Arc<Loaded>,
    breaker: Arc<Breaker>,
}

impl Version {
    #[must_use]
    pub fn new(plugin: String, loaded: Arc<Loaded>) -> Self {
        Self { plugin, loaded, breaker: Arc::default() }
    }

    fn key(&self) -> (String, String) {
        (self.plugin.clone(), self.loaded.digest().to_owned())
    }
}

/// A Plugin object, as far as it is served.
#[derive(Clone, Debug)]
pub struct Entry {
    pub terms: SharedTerms,
    pub serves: Vec<String>,
    /// Of two that serve the same name the older one has it.
    pub created: Timestamp,
    /// What is asked under its names now.
    pub current: Arc<Version>,
    /// The spec that the component was fetched for; none of a component that was served before a restart.
    pub source: Option<FetchedFor>,
}

/// One spec of one Plugin object, and what its image was resolved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedFor {
    pub uid: String,
    pub generation: i64,
    /// For an image: the manifest's digest, and the image that it was resolved from.
    pub resolved: Option<(String, String)>,
}

#[derive(Default)]
struct Contents {
    /// By the Plugin object's name.
    entries: BTreeMap<String, Entry>,
    /// By Plugin object and digest: what is served now, and what was and is still in use.
    versions: BTreeMap<(String, String), Arc<Version>>,
    /// Who has a name of a kind.
    names: BTreeMap<(Kind, String), String>,
    /// Plugin objects of which nothing is served, or not yet.
    absent: BTreeMap<String, Absent>,
    /// Plugin objects whose steps are skipped, and the names that they answer to.
    disabled: BTreeMap<String, Vec<String>>,
    /// Digests that are in use and cannot be had.
    lost: HashMap<String, Lost>,
    /// The reason and the digest that were last logged of a Plugin object.
    logged: HashMap<String, (PluginReason, String)>,
}

/// A Plugin object of which nothing is served.
struct Absent {
    serves: Vec<String>,
    /// Why; none while it is being loaded.
    why: Option<String>,
}

struct Lost {
    why: String,
    /// Waiting cannot help.
    for_good: bool,
}

/// All that can be asked.
pub struct Catalog {
    built_in: Arc<Plugins>,
    built_in_terms: SharedTerms,
    built_in_names: BTreeSet<(Kind, String)>,
    contents: RwLock<Contents>,
}

impl Catalog {
    #[must_use]
    pub fn new(built_in: Arc<Plugins>) -> Self {
        let names =
            Kind::ALL.into_iter().flat_map(|kind| built_in.names(kind).into_iter().map(move |name| (kind, name)));
        Self {
            built_in_names: names.collect(),
            built_in,
            built_in_terms: Arc::new(Terms::built_in()),
            contents: RwLock::default(),
        }
    }

    /// The way to load components.
    #[must_use]
    pub fn loader(&self) -> &Arc<Plugins> {
        &self.built_in
    }

    /// There is a Plugin object for these names, and nothing of it is served: because it is still to be loaded, or for the reason given.
    pub fn expect(&self, plugin: &str, serves: Vec<String>, why: Option<String>) {
        self.write().absent.insert(plugin.to_owned(), Absent { serves, why });
    }

    /// Whether the steps that name a Plugin object are skipped: `serves` is what it answers to if so. Answers whether that is new.
    pub fn disable(&self, plugin: &str, serves: Option<Vec<String>>) -> bool {
        let mut contents = self.write();
        let before = match serves.clone() {
            Some(serves) => contents.disabled.insert(plugin.to_owned(), serves),
            None => contents.disabled.remove(plugin),
        };
        before != serves
    }

    /// The steps that name this step plugin are skipped.
    #[must_use]
    pub fn skips_steps(&self, name: &str) -> bool {
        let contents = self.read();
        let holder = contents.names.get(&(Kind::Step, name.to_owned()));
        let mut disabled = contents.disabled.iter();
        disabled.any(|(plugin, serves)| {
            serves.iter().any(|served| served == name) && holder.is_none_or(|holder| holder == plugin)
        })
    }

    /// Serves a Plugin object as the entry says, in place of what it was served as. Names that an older Plugin has stay with that one.
    pub fn serve(&self, plugin: &str, entry: Entry) {
        let mut contents = self.write();
        let version = Arc::clone(&entry.current);
        contents.lost.remove(version.loaded.digest());
        contents.absent.remove(plugin);
        contents.versions.insert(version.key(), version);
        contents.entries.insert(plugin.to_owned(), entry);
        contents.name_anew();
    }

    /// Nothing of that Plugin is asked any more, whatever began with it.
    pub fn withdraw(&self, plugin: &str) {
        let mut contents = self.write();
        contents.entries.remove(plugin);
        contents.absent.remove(plugin);
        contents.logged.remove(plugin);
        contents.versions.retain(|(of, _), _| of != plugin);
        contents.name_anew();
    }

    /// Takes note of what is to be logged of a Plugin object: whether it differs from what was logged last.
    pub fn is_news(&self, plugin: &str, reason: PluginReason, digest: &str) -> bool {
        let logged = (reason, digest.to_owned());
        self.write().logged.insert(plugin.to_owned(), logged.clone()) != Some(logged)
    }

    /// Keeps a component that something in progress began with.
    pub fn keep(&self, version: Arc<Version>) {
        let mut contents = self.write();
        contents.lost.remove(version.loaded.digest());
        contents.versions.insert(version.key(), version);
    }

    /// Something in progress began with a component that cannot be had: now, or for good.
    pub fn lose(&self, digest: &str, why: String, for_good: bool) {
        self.write().lost.insert(digest.to_owned(), Lost { why, for_good });
    }

    /// Waiting cannot bring that component back.
    #[must_use]
    pub fn is_lost_for_good(&self, digest: &str) -> bool {
        self.read().lost.get(digest).is_some_and(|lost| lost.for_good)
    }

    /// Drops the components of a Plugin that are neither served nor in use.
    pub fn shrink(&self, plugin: &str, in_use: &dyn Fn(&str) -> bool) {
        let mut contents = self.write();
        let current = contents.entries.get(plugin).map(|entry| entry.current.loaded.digest().to_owned());
        contents.versions.retain(|(of, digest), _| of != plugin || Some(digest) == current.as_ref() || in_use(digest));
        contents.lost.retain(|digest, _| in_use(digest));
    }

    #[must_use]
    pub fn has(&self, plugin: &str, digest: &str) -> bool {
        self.read().versions.contains_key(&(plugin.to_owned(), digest.to_owned()))
    }

    /// What a Plugin object is served as now.
    #[must_use]
    pub fn entry(&self, plugin: &str) -> Option<Entry> {
        self.read().entries.get(plugin).cloned()
    }

    /// The Plugin object that has this name of this kind.
    #[must_use]
    pub fn holder(&self, kind: Kind, name: &str) -> Option<String> {
        self.read().names.get(&(kind, name.to_owned())).cloned()
    }

    /// Something answers to that name, if only the built-in.
    #[must_use]
    pub fn serves(&self, kind: Kind, name: &str) -> bool {
        self.holder(kind, name).is_some() || self.built_in_names.contains(&(kind, name.to_owned()))
    }

    /// In alphabetical order.
    #[must_use]
    pub fn names(&self, kind: Kind) -> Vec<String> {
        let mut names = self.built_in.names(kind);
        names.extend(self.read().names.keys().filter(|(of, _)| *of == kind).map(|(_, name)| name.clone()));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What a revision or run that begins now is to keep to; none while that is not known.
    #[must_use]
    pub fn pin(&self, kind: Kind, name: &str) -> Option<Pin> {
        let contents = self.read();
        if let Some((version, _)) = contents.current(kind, name) {
            return Some(Pin::Digest(version.loaded.digest().to_owned()));
        }
        let awaited = contents.absent(name).is_some_and(|(_, absent)| absent.why.is_none());
        let own = self.built_in_names.contains(&(kind, name.to_owned()));
        (own && !awaited).then_some(Pin::BuiltIn)
    }

    /// The strategy of that name: the pinned one, or what is served now.
    ///
    /// # Errors
    /// When there is none, or it cannot be had.
    pub async fn strategy(&self, name: &str, pin: Option<&Pin>) -> Result<Choice<StrategyPlugin>, ChoiceError> {
        match self.brought(Kind::Strategy, name, pin, Loaded::strategy)? {
            Some(choice) => Ok(choice),
            None => Ok(self.own(self.built_in.strategy(name).await)?),
        }
    }

    /// # Errors
    /// As [`strategy`](Self::strategy).
    pub async fn analyzer(&self, name: &str, pin: Option<&Pin>) -> Result<Choice<AnalyzerPlugin>, ChoiceError> {
        match self.brought(Kind::Analyzer, name, pin, Loaded::analyzer)? {
            Some(choice) => Ok(choice),
            None => Ok(self.own(self.built_in.analyzer(name).await)?),
        }
    }

    /// # Errors
    /// As [`strategy`](Self::strategy).
    pub async fn step(&self, name: &str, pin: Option<&Pin>) -> Result<Choice<StepPlugin>, ChoiceError> {
        match self.brought(Kind::Step, name, pin, Loaded::step)? {
            Some(choice) => Ok(choice),
            None => Ok(self.own(self.built_in.step(name).await)?),
        }
    }

    /// # Errors
    /// As [`strategy`](Self::strategy).
    pub async fn condition(&self, name: &str, pin: Option<&Pin>) -> Result<Choice<ConditionPlugin>, ChoiceError> {
        match self.brought(Kind::Condition, name, pin, Loaded::condition)? {
            Some(choice) => Ok(choice),
            None => Ok(self.own(self.built_in.condition(name).await)?),
        }
    }

    /// Every enricher with its name, in the order in which they add.
    pub async fn enrichers(&self) -> Vec<(String, Choice<EnricherPlugin>)> {
        let mut found = Vec::new();
        for name in self.names(Kind::Enricher) {
            let choice = match self.brought(Kind::Enricher, &name, None, Loaded::enricher) {
                Ok(Some(choice)) => Ok(choice),
                Ok(None) => {
                    let built_in = self.built_in.enricher(&name).await;
                    self.own(built_in).map_err(ChoiceError::from)
                }
                Err(error) => Err(error),
            };
            match choice {
                Ok(choice) => found.push((name, choice)),
                Err(error) => tracing::warn!(plugin = name, "an enricher is left out: {error}"),
            }
        }
        found.sort_by(|(one, a), (other, b)| (a.terms.order, one).cmp(&(b.terms.order, other)));
        found
    }

    /// What admins brought goes before what came with the controller, unless the pin says otherwise. None: the built-in is to be asked.
    fn brought<P>(
        &self,
        kind: Kind,
        name: &str,
        pin: Option<&Pin>,
        handle: fn(&Loaded) -> Option<&Arc<P>>,
    ) -> Result<Option<Choice<P>>, ChoiceError> {
        let contents = self.read();
        let found = match pin {
            Some(Pin::BuiltIn) => None,
            Some(Pin::Digest(digest)) => {
                Some(contents.pinned(kind, name, digest).ok_or_else(|| contents.missing(name, digest))?)
            }
            None => contents.current(kind, name),
        };
        let Some((version, terms)) = found else {
            let own = self.built_in_names.contains(&(kind, name.to_owned()));
            return match contents.absent(name) {
                Some((_, Absent { why: None, .. })) if pin.is_none() => Err(ChoiceError::Loading),
                Some((plugin, Absent { why: Some(why), .. })) if !own => {
                    Err(ChoiceError::NotReady { plugin: plugin.clone(), why: why.clone() })
                }
                _ => Ok(None),
            };
        };
        Ok(handle(&version.loaded).map(|plugin| Choice {
            plugin: Arc::clone(plugin),
            terms: Arc::clone(terms),
            pin: Pin::Digest(version.loaded.digest().to_owned()),
            breaker: (kind != Kind::Condition).then(|| Arc::clone(&version.breaker)),
        }))
    }

    fn own<P>(&self, found: Result<Arc<P>, LookupError>) -> Result<Choice<P>, LookupError> {
        let all = |error| match error {
            // Of all that are served, not only of those that came with the controller.
            LookupError::Unknown { kind, name, .. } => LookupError::Unknown { kind, name, served: self.names(kind) },
            other => other,
        };
        Ok(Choice {
            plugin: found.map_err(all)?,
            terms: Arc::clone(&self.built_in_terms),
            pin: Pin::BuiltIn,
            breaker: None,
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Contents> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Contents> {
        self.contents.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn current(&self, kind: Kind, name: &str) -> Option<(&Arc<Version>, &SharedTerms)> {
        let entry = self.entries.get(self.names.get(&(kind, name.to_owned()))?)?;
        Some((&entry.current, &entry.terms))
    }

    /// Of the Plugin object that has the name; should another have had it then, of that one.
    fn pinned(&self, kind: Kind, name: &str, digest: &str) -> Option<(&Arc<Version>, &SharedTerms)> {
        let holder = self.names.get(&(kind, name.to_owned()));
        let own = holder.and_then(|holder| self.versions.get(&(holder.clone(), digest.to_owned())));
        let version = own.or_else(|| self.versions.values().find(|version| version.loaded.digest() == digest))?;
        Some((version, &self.entries.get(&version.plugin)?.terms))
    }

    /// The Plugin object that would serve a name, were it served.
    fn absent(&self, name: &str) -> Option<(&String, &Absent)> {
        self.absent.iter().find(|(_, absent)| absent.serves.iter().any(|served| served == name))
    }

    fn missing(&self, name: &str, digest: &str) -> ChoiceError {
        let gone =
            |why: &str| ChoiceError::Gone { plugin: name.to_owned(), digest: digest.to_owned(), why: why.to_owned() };
        match (self.lost.get(digest), self.absent(name)) {
            (Some(lost), _) if lost.for_good => gone(&lost.why),
            (Some(lost), _) => ChoiceError::NotReady { plugin: name.to_owned(), why: lost.why.clone() },
            (None, Some((_, Absent { why: None, .. }))) => ChoiceError::Loading,
            (None, Some((plugin, Absent { why: Some(why), .. }))) => {
                ChoiceError::NotReady { plugin: plugin.clone(), why: why.clone() }
            }
            (None, _) => gone("no Plugin has it"),
        }
    }

    /// The oldest Plugin that serves a name of a kind has it.
    fn name_anew(&mut self) {
        let mut by_age: Vec<(&String, &Entry)> = self.entries.iter().collect();
        by_age.sort_by_key(|(name, entry)| (entry.created, *name));
        let mut names = BTreeMap::new();
        for (plugin, entry) in by_age {
            for kind in entry.current.loaded.kinds() {
                for name in &entry.serves {
                    names.entry((*kind, name.clone())).or_insert_with(|| plugin.clone());
                }
            }
        }
        self.names = names;
    }
}

#[cfg(test)]
mod tests {
    use kulta_wasm::{CONDITION_LANGUAGE, CallError, Limits};

    use super::*;

    /// More failures in a row than a breaker bears.
    const MANY: usize = 9;

    #[test]
    fn what_is_logged_of_a_plugin_is_news_until_it_is_the_same_again() {
        let catalog = Catalog::new(Arc::new(Plugins::new(Limits::default()).unwrap()));

        let news = [PluginReason::Serving, PluginReason::Serving, PluginReason::Refused]
            .map(|reason| catalog.is_news("judge", reason, "sha256:a"));

        assert_eq!(news, [true, false, true]);
    }

    #[tokio::test]
    async fn one_users_hostile_conditions_do_not_keep_others_from_being_judged() {
        let catalog = Catalog::new(Arc::new(Plugins::new(Limits::default()).unwrap()));
        let language = catalog.condition(CONDITION_LANGUAGE, None).await.unwrap();
        for _ in 0..MANY {
            let hostile = async { Err::<bool, _>(CallError::Trapped("out of memory".to_owned())) };
            assert!(language.guarded(Timestamp::UNIX_EPOCH, hostile).await.is_err());
        }

        let judged = language.guarded(Timestamp::UNIX_EPOCH, language.plugin.evaluate("", "result > 1", "2")).await;

        assert_eq!(judged, Ok(true));
    }

    #[test]
    fn steps_that_name_a_disabled_plugin_are_skipped_until_it_is_enabled() {
        let catalog = Catalog::new(Arc::new(Plugins::new(Limits::default()).unwrap()));
        let serves = || Some(vec!["team/gate".to_owned()]);

        let changed = [catalog.disable("gate", serves()), catalog.disable("gate", serves())];
        let skipped = ["team/gate", "team/mail"].map(|name| catalog.skips_steps(name));
        catalog.disable("gate", None);

        assert_eq!((changed, skipped), ([true, false], [true, false]));
        assert!(!catalog.skips_steps("team/gate"));
    }
}
