//! The log's account of rollouts: one line at info level for each transition that a stored status holds.

use kulta_core::Transition;

use crate::key::Key;

/// Logs transitions whose status is stored.
pub fn log(rollout: &Key, transitions: &[Transition]) {
    let Key { namespace, name } = rollout;
    for Transition { revision, message } in transitions {
        tracing::info!(namespace, rollout = name, revision, "{message}");
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use super::*;

    /// The fields of one event: name and value.
    #[derive(Clone, Default)]
    struct Fields(Vec<(String, String)>);

    /// All events at info level.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<Fields>>>);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0.push((field.name().to_owned(), format!("{value:?}")));
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= Level::INFO
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut fields = Fields::default();
            event.record(&mut fields);
            self.0.lock().unwrap().push(fields);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_transition_is_one_line_with_namespace_rollout_and_revision() {
        let lines = Lines::default();
        let transition = Transition { revision: Some(2), message: "update began".to_owned() };

        tracing::subscriber::with_default(lines.clone(), || log(&Key::new("shop", "web"), &[transition]));

        let expected =
            [("message", "update began"), ("namespace", "\"shop\""), ("revision", "2"), ("rollout", "\"web\"")];
        let mut logged: Vec<_> = lines.0.lock().unwrap().iter().map(|fields| fields.0.clone()).collect();
        logged.iter_mut().for_each(|fields| fields.sort());
        assert_eq!(logged, [expected.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()]);
    }
}
