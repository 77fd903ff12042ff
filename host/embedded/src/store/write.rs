//! Creating and changing objects.

use std::sync::Arc;

use serde_json::{Value, json};

use super::collect::ready_to_go;
use super::{State, Store, shown};
use crate::json::{copy, meta, remove, set, text};
use crate::kind::{BuiltIn, Key, Kind, Rules};
use crate::patch::apply::{ApplyError, Conflict, Writer, apply, note_update};
use crate::patch::{ListKeys, PatchError, json as json_patch, merge, strategic};
use crate::rules::{self, Part, Surroundings};
use crate::status::ApiError;

/// How often a generated name that is taken is generated again, as the real server does.
const NAME_ATTEMPTS: usize = 8;
/// The first Service's address; later ones follow.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([10, 96, 0, 10]);

/// How a write is made.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// The field manager.
    pub manager: String,
    /// Everything is done but the storing.
    pub dry_run: bool,
    /// An apply takes fields from other managers.
    pub force: bool,
    pub subresource: Option<Subresource>,
    /// Fields that the kind does not have are refused, rather than dropped.
    pub strict: bool,
}

impl WriteOptions {
    #[must_use]
    pub fn by(manager: &str) -> Self {
        Self { manager: manager.to_owned(), ..Self::default() }
    }

    /// For a write of the status.
    #[must_use]
    pub fn status(self) -> Self {
        Self { subresource: Some(Subresource::Status), ..self }
    }
}

/// A part of an object with a path of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subresource {
    Status,
    Scale,
}

impl Subresource {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Scale => "scale",
        }
    }
}

/// What a write did.
#[derive(Clone, Debug)]
pub enum Written {
    Created(Arc<Value>),
    /// Also when nothing changed.
    Updated(Arc<Value>),
}

impl Written {
    #[must_use]
    pub fn into_object(self) -> Arc<Value> {
        match self {
            Self::Created(object) | Self::Updated(object) => object,
        }
    }
}

/// A patch, by its media type.
#[derive(Clone, Debug)]
pub enum Patch {
    Json(Value),
    Merge(Value),
    Strategic(Value),
    Apply(Value),
}

impl Store {
    /// Creates an object; the namespace may be left out of it.
    ///
    /// # Errors
    /// As the API server answers: 409 for a name that is taken, 422 for an object that is invalid, 404 for a namespace that is not there.
    pub fn create(
        &self,
        kind: &Kind,
        namespace: &str,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Value>, ApiError> {
        self.step(|state| state.create(kind, namespace, body, options))
    }

    /// Replaces an object, or its status.
    ///
    /// # Errors
    /// As the API server answers: 409 for a version that is not the newest.
    pub fn update(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        let uid = meta::uid(&body).to_owned();
        let create = rules::creates_on_update(kind) && options.subresource.is_none();
        self.step(|state| {
            let key = Key::new(namespace, name);
            if let Some(found) = state.get(&kind.collection, &key)
                && !uid.is_empty()
                && uid != meta::uid(found)
            {
                let why = format!(
                    "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                    meta::uid(found)
                );
                return Err(ApiError::conflict(kind.resource(), name, &why));
            }
            state.change(kind, &key, options, create, |_, _| Ok(body))
        })
    }

    /// Changes an object, or its status.
    ///
    /// # Errors
    /// As the API server answers: 422 when a JSON Patch does not fit, 409 for a conflict between managers or a stale version.
    pub fn patch(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        self.step(|state| {
            let create = matches!(patch, Patch::Apply(_)) && options.subresource.is_none();
            let now = state.now();
            let key = Key::new(namespace, name);
            state.change(kind, &key, options, create, |before, _| patched(kind, before, patch, options, &now))
        })
    }
}

/// The object that a patch makes of another.
fn patched(
    kind: &Kind,
    before: Option<&Value>,
    patch: &Patch,
    options: &WriteOptions,
    now: &str,
) -> Result<Value, ApiError> {
    if let Patch::Apply(config) = patch {
        let subresource = options.subresource.map_or("", Subresource::as_str);
        let writer = Writer { manager: &options.manager, subresource, now };
        let mut config = config.clone();
        match options.subresource {
            Some(_) => drop(
                config
                    .as_object_mut()
                    .map(|fields| fields.retain(|field, _| APPLIED_TO_STATUS.contains(&field.as_str()))),
            ),
            None if kind.status => drop(remove(&mut config, &["status"])),
            None => {}
        }
        return apply(before, &config, &writer, options.force, &kind.keys).map_err(|error| refused_apply(&error));
    }
    patched_plainly(before.unwrap_or(&Value::Null), patch, &kind.keys)
}

/// What a patch makes of an object when nobody minds who manages its fields: an apply is a merge then.
pub(super) fn patched_plainly(before: &Value, patch: &Patch, keys: &ListKeys) -> Result<Value, ApiError> {
    let mut object = before.clone();
    match patch {
        Patch::Json(patch) => json_patch(&mut object, patch),
        Patch::Merge(patch) | Patch::Apply(patch) => merge(&mut object, patch),
        Patch::Strategic(patch) => strategic(&mut object, patch, keys),
    }
    .map_err(|error| refused_patch(&error))?;
    Ok(object)
}

/// What an applied status may carry.
const APPLIED_TO_STATUS: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

fn refused_patch(error: &PatchError) -> ApiError {
    ApiError::new(error.code(), error.reason(), error.to_string())
}

fn refused_apply(error: &ApplyError) -> ApiError {
    let message = error.to_string();
    match error {
        ApplyError::BadRequest(_) => ApiError::bad_request(message),
        ApplyError::Internal(_) => ApiError::new(500, "InternalError", message),
        ApplyError::Conflict { conflicts, .. } => {
            let causes: Vec<Value> = conflicts
                .iter()
                .map(|conflict| json!({ "reason": Conflict::REASON, "message": conflict.message, "field": conflict.field }))
                .collect();
            ApiError { details: Some(json!({ "causes": causes })), ..ApiError::new(409, "Conflict", message) }
        }
    }
}

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

    /// `managed` says that the managers of the body's fields are noted already.
    fn create_once(
        &mut self,
        kind: &Kind,
        namespace: &str,
        mut object: Value,
        options: &WriteOptions,
        managed: bool,
    ) -> Result<Arc<Value>, ApiError> {
        if meta::version(&object) != 0 {
            return Err(ApiError::new(
                500,
                "InternalError",
                "resourceVersion should not be set on objects to be created",
            ));
        }
        name_type(kind, &mut object)?;
        place(kind, namespace, &mut object)?;
        self.begin(kind, &mut object);
        rules::defaults(kind, &mut object);
        self.admit(kind, &mut object, None, options)?;
        rules::tidy(&mut object);
        let surroundings = self.surroundings();
        if !managed {
            let mut reset = object.clone();
            if kind.status && !kind.is(BuiltIn::Node) {
                remove(&mut reset, &["status"]);
            }
            self.note_manager(kind, None, &mut reset, options, &surroundings);
            copy(&reset, &mut object, &["metadata", "managedFields"]);
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
            let name = format!("{prefix}{}", self.random.suffix());
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

    fn surroundings(&self) -> Surroundings {
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

    /// What the definition of a custom resource makes of an object.
    fn admit(
        &self,
        kind: &Kind,
        object: &mut Value,
        old: Option<&Value>,
        options: &WriteOptions,
    ) -> Result<(), ApiError> {
        let Rules::Custom(custom) = &kind.rules else { return Ok(()) };
        if options.strict {
            let unknown: Vec<String> =
                custom.schema.unknown_fields(object).iter().map(|field| format!("unknown field {field:?}")).collect();
            if !unknown.is_empty() {
                let what = format!("{} in version {:?} cannot be handled as a {}", kind.kind, kind.version, kind.kind);
                return Err(ApiError::bad_request(format!("{what}: strict decoding error: {}", unknown.join(", "))));
            }
        }
        let admitted = custom.schema.admit(object, old);
        admitted.map_err(|causes| ApiError::invalid(kind.about(), meta::name(object), &causes))
    }

    fn note_manager(
        &self,
        kind: &Kind,
        before: Option<&Value>,
        after: &mut Value,
        options: &WriteOptions,
        surroundings: &Surroundings,
    ) {
        let subresource = options.subresource.map_or("", Subresource::as_str);
        let writer = Writer { manager: &options.manager, subresource, now: &surroundings.now };
        note_update(before, after, &writer, &kind.keys);
    }

    /// Replaces an object by what `change` makes of it.
    pub(super) fn change(
        &mut self,
        kind: &Kind,
        key: &Key,
        options: &WriteOptions,
        create: bool,
        change: impl FnOnce(Option<&Value>, &Self) -> Result<Value, ApiError>,
    ) -> Result<Written, ApiError> {
        let Some(stored) = self.get(&kind.collection, key).cloned() else {
            if !create {
                return Err(ApiError::not_found(kind.resource(), key.name()));
            }
            let object = change(None, self)?;
            let managed = object.pointer("/metadata/managedFields").is_some();
            return self.create_once(kind, key.namespace(), object, options, managed).map(Written::Created);
        };
        let before = shown(kind, &stored);
        let mut object = change(Some(&before), self)?;
        let applied = object.pointer("/metadata/managedFields") != before.pointer("/metadata/managedFields");
        name_type(kind, &mut object)?;
        check_name(key, &object)?;
        place(kind, key.namespace(), &mut object)?;
        check_version(kind, &object, &before)?;
        let surroundings = self.surroundings();
        rules::defaults(kind, &mut object);
        for field in ["resourceVersion", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
        {
            if field != "uid" || meta::uid(&object).is_empty() {
                copy(&before, &mut object, &["metadata", field]);
            }
        }
        let part = if options.subresource == Some(Subresource::Status) { Part::Status } else { Part::Object };
        rules::prepare_update(kind, &mut object, &before, part, &surroundings);
        self.admit(kind, &mut object, Some(&before), options)?;
        rules::tidy(&mut object);
        if !applied {
            self.note_manager(kind, Some(&before), &mut object, options, &surroundings);
        }
        let mut causes = rules::check_metadata_update(&object, &before);
        if part == Part::Object {
            causes.extend(rules::check(kind, &object, Some(&before)));
        }
        if !causes.is_empty() {
            return Err(ApiError::invalid(kind.about(), key.name(), &causes));
        }
        if same(&object, &before) || options.dry_run {
            let object = if options.dry_run { Arc::new(object) } else { before };
            return Ok(Written::Updated(object));
        }
        if ready_to_go(&object) {
            self.commit(&kind.collection, key, None);
            return Ok(Written::Updated(Arc::new(object)));
        }
        let stored = self.commit(&kind.collection, key, Some(object));
        let stored = stored.ok_or_else(|| ApiError::internal("the object was not stored"))?;
        Ok(Written::Updated(shown(kind, &stored)))
    }
}

/// Whether an update changes nothing; when managers last wrote is no change.
fn same(object: &Value, before: &Value) -> bool {
    let timeless = |object: &Value| {
        let mut object = object.clone();
        let entries = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
        entries.into_iter().flatten().for_each(|entry| drop(remove(entry, &["time"])));
        object
    };
    timeless(object) == timeless(before)
}

/// An object must be of the kind that the path names; one that does not say is refused.
fn name_type(kind: &Kind, object: &mut Value) -> Result<(), ApiError> {
    let wanted = (kind.api_version(), kind.kind.as_str());
    let (version, name) = (text(object, "/apiVersion"), text(object, "/kind"));
    if kind.built_in().is_some() && version.is_empty() && name.is_empty() {
        // Typed decoders know the type from the path.
        set(object, &["apiVersion"], wanted.0);
        set(object, &["kind"], wanted.1);
        return Ok(());
    }
    if name.is_empty() {
        return Err(ApiError::bad_request(format!("Object 'Kind' is missing in '{object}'")));
    }
    if (version, name) != (wanted.0.as_str(), wanted.1) {
        let shown = |version: &str, kind: &str| {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            format!("{group}/{version}, Kind={kind}")
        };
        let (sent, expected) = (shown(version, name), shown(&wanted.0, wanted.1));
        let why =
            format!("the API version in the data ({}) does not match the expected API version ({})", version, wanted.0);
        if version != wanted.0 {
            return Err(ApiError::bad_request(why));
        }
        return Err(ApiError::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: no kind {name:?} is registered ({sent}, not {expected})",
            name, kind.version, wanted.1
        )));
    }
    Ok(())
}

/// The namespace of the path counts; an object may leave it out, but not name another.
fn place(kind: &Kind, namespace: &str, object: &mut Value) -> Result<(), ApiError> {
    let named = meta::namespace(object);
    if !kind.namespaced {
        remove(object, &["metadata", "namespace"]);
        return Ok(());
    }
    if !named.is_empty() && named != namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    set(object, &["metadata", "namespace"], namespace);
    Ok(())
}

fn check_name(key: &Key, object: &Value) -> Result<(), ApiError> {
    let name = meta::name(object);
    if name.is_empty() {
        return Err(ApiError::bad_request("the name of the object must be set: name must be provided"));
    }
    if name != key.name() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            key.name()
        )));
    }
    Ok(())
}

fn check_version(kind: &Kind, object: &Value, before: &Value) -> Result<(), ApiError> {
    let named = text(object, "/metadata/resourceVersion");
    if named.is_empty() || named == "0" {
        if rules::takes_unversioned_update(kind) {
            return Ok(());
        }
        let cause =
            crate::status::Cause::invalid("metadata.resourceVersion", &0.into(), "must be specified for an update");
        return Err(ApiError::invalid(kind.resource(), meta::name(before), &[cause]));
    }
    if named != text(before, "/metadata/resourceVersion") {
        return Err(ApiError::stale(kind.resource(), meta::name(before)));
    }
    Ok(())
}
