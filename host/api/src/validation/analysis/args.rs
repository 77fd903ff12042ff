//! Sources of arguments.

use crate::analysis::{AnalysisArgument, Argument};
use crate::field_error::{Faults, Path};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// The creator of the run may set the value.
    Template,
    Run,
}

/// An empty name and one that is there already are fine, as in Argo Rollouts: the last value counts.
pub(super) fn validate(args: &[Argument], of: Of, path: &Path, faults: &mut Faults) {
    for (index, arg) in args.iter().enumerate() {
        let path = path.index(index);
        let Some(from) = &arg.value_from else {
            let message = format!("args.{} was not resolved: it has neither value nor valueFrom", arg.name);
            faults.add_if(arg.value.is_none() && of == Of::Run, &path, message);
            continue;
        };
        let path = path.field("valueFrom");
        match (&from.secret_key_ref, &from.field_ref) {
            // As in Argo Rollouts, a Secret counts before `value`, and `value` before a field.
            (Some(secret), _) => {
                let path = path.field("secretKeyRef");
                faults.add_if(secret.name.is_empty(), &path.field("name"), "must not be empty");
                faults.add_if(secret.key.is_empty(), &path.field("key"), "must not be empty");
            }
            (None, _) if arg.value.is_some() => {}
            (None, Some(field)) => {
                let path = path.field("fieldRef").field("fieldPath");
                faults.add_if(field.field_path.is_empty(), &path, "must not be empty");
            }
            (None, None) => faults.add(&path, "must have secretKeyRef or fieldRef"),
        }
    }
}

/// The values of `podTemplateHashValue`.
const REVISIONS: [&str; 2] = ["Stable", "Latest"];

/// Of several sources, or several values of one name, Argo Rollouts uses one (`utils/analysis/factory.go`,
/// `helpers.go`) and reports nothing.
pub(super) fn validate_request(args: &[AnalysisArgument], path: &Path, faults: &mut Faults) {
    for (index, arg) in args.iter().enumerate() {
        let path = path.index(index);
        if let Some(from) = &arg.value_from {
            let path = path.field("valueFrom");
            let odd = from.pod_template_hash_value.as_deref().is_some_and(|value| !REVISIONS.contains(&value));
            faults.add_if(odd, &path.field("podTemplateHashValue"), "must be Stable or Latest");
            let read = from.field_ref.as_ref().filter(|_| from.pod_template_hash_value.is_none());
            let empty = read.is_some_and(|field| field.field_path.is_empty());
            faults.add_if(empty, &path.field("fieldRef").field("fieldPath"), "must not be empty");
        }
    }
}
