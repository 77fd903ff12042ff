//! The verbs.

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::path::{Part, Target};
use super::request::Incoming;
use super::show::{Form, respond, success};
use super::stream;
use crate::faults::{Call, Verb};
use crate::json::{meta, text};
use crate::kind::{BuiltIn, Kind};
use crate::server::Server;
use crate::status::ApiError;
use crate::store::{Deleted, Page, Patch, Selection, Subresource, WriteOptions, Written};
use crate::watch::Watch;

const OK: u16 = StatusCode::OK.as_u16();
const CREATED: u16 = StatusCode::CREATED.as_u16();

pub fn answer(server: &Server, incoming: &Incoming, target: &Target, call: &Call) -> Result<Response, ApiError> {
    let request = Request { server, incoming, target };
    match (call.verb, target.part) {
        (Verb::Get, Part::Scale) => {
            let scale = server.store().scale(&target.kind, &target.namespace, &target.name)?;
            Ok(respond(OK, &scale))
        }
        (Verb::Get, _) => {
            let object = server.store().get(&target.kind, &target.namespace, &target.name)?;
            request.object(OK, &object)
        }
        (Verb::List, _) => request.list(),
        (Verb::Watch, _) => request.watch(call),
        (Verb::Create, Part::Eviction) => request.evict(),
        (Verb::Create, _) => request.create(),
        (Verb::Update, Part::Scale) => {
            let body = incoming.object()?;
            let options = incoming.write_options("UpdateOptions")?;
            let scale = server.store().update_scale(&target.kind, &target.namespace, &target.name, &body, &options)?;
            Ok(respond(OK, &scale))
        }
        (Verb::Update, _) => request.update(),
        (Verb::Patch, Part::Scale) => {
            let patch = incoming.patch()?;
            let options = incoming.patch_options(&patch)?;
            let scale = server.store().patch_scale(&target.kind, &target.namespace, &target.name, &patch, &options)?;
            Ok(respond(OK, &scale))
        }
        (Verb::Patch, _) => request.patch(),
        (Verb::Delete, _) => request.delete(),
        (Verb::DeleteAll, _) => request.delete_all(),
    }
}

struct Request<'a> {
    server: &'a Server,
    incoming: &'a Incoming,
    target: &'a Target,
}

impl Request<'_> {
    fn form(&self) -> Result<Form, ApiError> {
        Form::wanted(&self.incoming.accept, self.incoming.query.get("includeObject"))
    }

    fn object(&self, code: u16, object: &Value) -> Result<Response, ApiError> {
        let shown = self.form()?.object(&self.target.kind, object, self.server.store().clock(), true);
        Ok(respond(code, &shown))
    }

    fn written(&self, written: &Written) -> Result<Response, ApiError> {
        match written {
            Written::Created(object) => self.object(CREATED, object),
            Written::Updated(object) => self.object(OK, object),
        }
    }

    fn selection(&self) -> Result<Selection, ApiError> {
        let mut fields = self.incoming.query.get("fieldSelector").to_owned();
        if !self.target.name.is_empty() {
            fields = format!("metadata.name={}", self.target.name);
        }
        Selection::parse(&self.target.kind, self.incoming.query.get("labelSelector"), &fields)
    }

    fn list(&self) -> Result<Response, ApiError> {
        let (selection, options) = (self.selection()?, self.incoming.query.list()?);
        let store = self.server.store();
        let page = store.list(&self.target.kind, &self.target.namespace, &selection, &options)?;
        Ok(respond(OK, &self.form()?.list(&self.target.kind, &page, store.clock())))
    }

    fn watch(&self, call: &Call) -> Result<Response, ApiError> {
        let (selection, options) = (self.selection()?, self.incoming.query.watch()?);
        let kind = Arc::clone(&self.target.kind);
        let watch = Watch::start(self.server.store(), kind, &self.target.namespace, selection, &options)?;
        Ok(stream::respond(self.server.clone(), call.clone(), watch, self.form()?, Arc::clone(&self.target.kind)))
    }

    fn create(&self) -> Result<Response, ApiError> {
        let options = self.incoming.write_options("CreateOptions")?;
        let body = self.incoming.object()?;
        let object = self.server.store().create(&self.target.kind, &self.target.namespace, body, &options)?;
        self.object(CREATED, &object)
    }

    fn part(&self, options: WriteOptions) -> WriteOptions {
        let subresource = (self.target.part == Part::Status).then_some(Subresource::Status);
        WriteOptions { subresource, ..options }
    }

    fn update(&self) -> Result<Response, ApiError> {
        let options = self.part(self.incoming.write_options("UpdateOptions")?);
        let body = self.incoming.object()?;
        let Target { kind, namespace, name, .. } = self.target;
        let written = self.server.store().update(kind, namespace, name, body, &options)?;
        self.written(&written)
    }

    fn patch(&self) -> Result<Response, ApiError> {
        let patch: Patch = self.incoming.patch()?;
        let options = self.part(self.incoming.patch_options(&patch)?);
        let Target { kind, namespace, name, .. } = self.target;
        let written = self.server.store().patch(kind, namespace, name, &patch, &options)?;
        self.written(&written)
    }

    fn delete(&self) -> Result<Response, ApiError> {
        let options = self.incoming.query.delete(self.incoming.options()?.as_ref())?;
        let Target { kind, namespace, name, .. } = self.target;
        match self.server.store().delete(kind, namespace, name, &options)? {
            Deleted::Waiting(object) => self.object(OK, &object),
            Deleted::Gone(object) if answers_with_object(kind) => self.object(OK, &object),
            Deleted::Gone(object) => {
                let mut details = json!({ "name": name, "kind": kind.plural(), "uid": meta::uid(&object) });
                if !kind.group().is_empty() {
                    crate::json::set(&mut details, &["group"], kind.group());
                }
                Ok(respond(OK, &success(OK, Some(details))))
            }
        }
    }

    fn delete_all(&self) -> Result<Response, ApiError> {
        let options = self.incoming.query.delete(self.incoming.options()?.as_ref())?;
        let selection = self.selection()?;
        let store = self.server.store();
        let items = store.delete_all(&self.target.kind, &self.target.namespace, &selection, &options)?;
        let page = Page { items, version: store.version(), token: None, remaining: None };
        Ok(respond(OK, &self.form()?.list(&self.target.kind, &page, store.clock())))
    }

    fn evict(&self) -> Result<Response, ApiError> {
        let body = self.incoming.object()?;
        let Target { kind, namespace, name, .. } = self.target;
        let named = text(&body, "/metadata/name");
        if !named.is_empty() && named != name {
            return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
        }
        let mut options = self.incoming.query.delete(body.get("deleteOptions"))?;
        options.dry_run |= self.incoming.query.dry_run("CreateOptions")?;
        self.server.store().delete(kind, namespace, name, &options)?;
        Ok(respond(CREATED, &success(CREATED, None)))
    }
}

/// True if a deletion returns the deleted object rather than a Status.
fn answers_with_object(kind: &Kind) -> bool {
    matches!(kind.built_in(), Some(BuiltIn::Pod | BuiltIn::Service | BuiltIn::Namespace | BuiltIn::ServiceAccount))
}
