//! Creates objects.

use std::sync::Arc;

use serde_json::{Value, json};

use super::sent::{admit, check_fields, name_type, note_manager, place};
use super::{State, WriteOptions, shown};
use crate::json::{meta, remove, set, text};
use crate::kind::{BuiltIn, Key, Kind};
use crate::rules::{self, Part, Surroundings};
use crate::status::ApiError;

/// Attempts to generate a free name, as in the real server.
const NAME_ATTEMPTS: usize = 8;
/// Characters of a `generateName` that a generated name keeps: 63, the most that a label takes, less 5 random ones
/// (`k8s.io/apiserver/pkg/storage/names`).
const GENERATED_PREFIX_CHARS: usize = 58;
/// The first Service's address; later ones follow.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([10, 96, 0, 10]);

impl State {
    pub(super) fn create(
        &mut self,
        kind: &Kind,
        namespace: &str,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Value>, ApiError> {
        let generated = text(&body, "/metadata/name").is_empty() && !text(&body, "/metadata/generateName").is_empty();
        let mut attempts = if generated { NAME_ATTEMPTS } else { 1 };
        loop {
            attempts = attempts.saturating_sub(1);
            match self.create_once(kind, namespace, body.clone(), options, false) {
                Err(error) if error.reason == "AlreadyExists" && attempts > 0 => {}
                other => return other,
            }
        }
    }

    /// `managed`: the managers of the body's fields are recorded already.
    pub(super) fn create_once(
        &mut self,
        kind: &Kind,
        namespace: &str,
        mut object: Value,
        options: &WriteOptions,
        managed: bool,
    ) -> Result<Arc<Value>, ApiError> {
        if meta::version(&object) != 0 {
            return Err(ApiError::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        name_type(kind, &mut object)?;
        place(kind, namespace, &mut object)?;
        self.begin(kind, &mut object);
        rules::defaults(kind, &mut object);
        check_fields(kind, &object, options)?;
        admit(kind, &mut object, None)?;
        rules::tidy(&mut object);
        let surroundings = self.surroundings();
        if !managed {
            note_manager(kind, None, &mut object, options, rules::claims(kind, Part::Object), &surroundings);
        }
        rules::prepare_create(kind, &mut object, &surroundings);
        let mut causes = rules::check_metadata(kind, &object);
        causes.extend(rules::check(kind, &object, None));
        let name = meta::name(&object).to_owned();
        self.check_namespace(kind, namespace, &name)?;
        if !causes.is_empty() {
            return Err(ApiError::invalid(kind.about(), &name, &causes));
        }
        let key = Key::new(namespace, &name);
        if self.get(&kind.collection, &key).is_some() {
            return Err(ApiError::already_exists(kind.resource(), &name));
        }
        if kind.is(BuiltIn::Service)
            && text(&object, "/spec/clusterIP") == surroundings.free_address
            && !options.dry_run
        {
            self.addresses = self.addresses.saturating_add(1);
        }
        if options.dry_run {
            return Ok(Arc::new(object));
        }
        let stored = self.commit(&kind.collection, &key, Some(object));
        stored.map(|object| shown(kind, &object)).ok_or_else(|| ApiError::internal("the object was not stored"))
    }

    /// What every new object gets.
    fn begin(&mut self, kind: &Kind, object: &mut Value) {
        let prefix = text(object, "/metadata/generateName").to_owned();
        if meta::name(object).is_empty() && !prefix.is_empty() {
            let kept: String = prefix.chars().take(GENERATED_PREFIX_CHARS).collect();
            let name = format!("{kept}{}", self.random.suffix());
            set(object, &["metadata", "name"], name);
        }
        let (uid, now) = (self.random.uid(), self.now());
        set(object, &["metadata", "uid"], uid);
        set(object, &["metadata", "creationTimestamp"], now);
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"] {
            remove(object, &["metadata", field]);
        }
        if kind.is(BuiltIn::CustomResourceDefinition) {
            meta::set_finalizers(object, vec![super::delete::INSTANCES.to_owned()]);
        }
    }

    pub(super) fn surroundings(&self) -> Surroundings {
        let address = std::net::Ipv4Addr::from(FIRST_ADDRESS.saturating_add(self.addresses));
        Surroundings { now: self.now(), free_address: address.to_string() }
    }

    fn check_namespace(&self, kind: &Kind, namespace: &str, name: &str) -> Result<(), ApiError> {
        if !kind.namespaced {
            return Ok(());
        }
        let about = crate::status::About { group: "", what: "namespaces" };
        let home = self.namespace_place(namespace).and_then(|place| self.at(&place).cloned());
        let home = home.ok_or_else(|| ApiError::not_found(about, namespace))?;
        if meta::deleting(&home) {
            let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
            let mut error = ApiError::forbidden(kind.resource(), name, &why);
            let cause = json!({ "reason": "NamespaceTerminating", "message": format!("namespace {namespace} is being terminated"),
                                "field": "metadata.namespace" });
            if let Some(details) = &mut error.details {
                set(details, &["causes"], vec![cause]);
            }
            return Err(error);
        }
        Ok(())
    }
}
