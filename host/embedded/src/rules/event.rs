//! Events. Those with an `eventTime` are of the newer form, whose texts are bounded and of which more is required.

use serde_json::Value;

use crate::json::text;
use crate::selector::names;
use crate::status::Cause;

/// Longest `reportingInstance`, `action` and `reason`, in bytes.
const WORD_MAX: usize = 128;
/// Longest `message`, in bytes.
const MESSAGE_MAX: usize = 1_024;
/// Where events may be that are about an object in no namespace.
const DEFAULT: &str = "default";
const SYSTEM: &str = "kube-system";

pub fn check(event: &Value) -> Vec<Cause> {
    let (own, about) = (text(event, "/metadata/namespace"), text(event, "/involvedObject/namespace"));
    let is_timed = !text(event, "/eventTime").is_empty();
    let fits = match (about.is_empty(), is_timed) {
        (true, true) => own == DEFAULT || own == SYSTEM,
        (true, false) => own.is_empty() || own == DEFAULT,
        (false, true) => true,
        (false, false) => own == about,
    };
    let misplaced =
        (!fits).then(|| Cause::invalid("involvedObject.namespace", &about.into(), "does not match event.namespace"));
    misplaced.into_iter().chain(is_timed.then(|| timed_faults(event)).into_iter().flatten()).collect()
}

fn timed_faults(event: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let reporter = text(event, "/reportingComponent");
    if reporter.is_empty() {
        causes.push(Cause::required("reportingComponent", ""));
    }
    let faults = names::key_faults(reporter).into_iter();
    causes.extend(faults.map(|fault| Cause::invalid("reportingComponent", &reporter.into(), &fault)));
    for field in ["reportingInstance", "action", "reason"] {
        let word = text(event, &format!("/{field}"));
        if word.is_empty() {
            causes.push(Cause::required(field, ""));
        }
        causes.extend(too_long(field, word, WORD_MAX));
    }
    causes.extend(too_long("message", text(event, "/message"), MESSAGE_MAX));
    causes
}

/// The API server counts bytes, calls them characters, and leaves the text out of its answer.
fn too_long(field: &str, text: &str, max: usize) -> Option<Cause> {
    (text.len() > max).then(|| Cause::invalid(field, &"".into(), &format!("can have at most {max} characters")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(change: &Value) -> Vec<String> {
        let mut event = json!({
            "metadata": { "namespace": "shop" }, "involvedObject": { "namespace": "shop" }, "message": "m", "reason": "r", "action": "a",
            "reportingComponent": "kulta", "reportingInstance": "kulta", "eventTime": "2026-01-01T00:00:00.000000Z",
        });
        json_patch::merge(&mut event, change);
        check(&event).into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    #[test]
    fn a_whole_event_is_taken() {
        assert_eq!(faults(&json!({})), Vec::<String>::new());
    }

    #[test]
    fn a_message_has_1024_bytes_at_most() {
        let cases = [("m".repeat(1_024), 0), ("m".repeat(1_025), 1), ("é".repeat(512), 0), ("é".repeat(513), 1)];

        for (message, expected) in cases {
            let told = faults(&json!({ "message": message }));

            assert_eq!(told.len(), expected, "{} bytes: {told:?}", message.len());
        }
    }

    #[test]
    fn a_fault_is_told_as_the_api_server_words_it() {
        let told = faults(&json!({ "message": "m".repeat(1_025), "action": "a".repeat(129) }));

        assert_eq!(
            told,
            [
                "action: Invalid value: \"\": can have at most 128 characters",
                "message: Invalid value: \"\": can have at most 1024 characters",
            ]
        );
    }

    #[test]
    fn an_event_with_a_time_names_its_reporter_action_and_reason() {
        for (field, named) in [
            ("reportingInstance", "reportingInstance"),
            ("reportingComponent", "reportingComponent"),
            ("action", "action"),
            ("reason", "reason"),
        ] {
            let told = faults(&json!({ field: null }));

            assert_eq!(told.first(), Some(&format!("{named}: Required value")), "{field}");
        }
    }

    #[test]
    fn an_event_without_a_time_is_not_bounded() {
        assert_eq!(
            faults(&json!({ "eventTime": null, "message": "m".repeat(5_000), "action": null })),
            Vec::<String>::new()
        );
    }

    #[test]
    fn an_event_is_in_the_namespace_of_what_it_is_about() {
        let misplaced = |about: &str| {
            vec![format!("involvedObject.namespace: Invalid value: \"{about}\": does not match event.namespace")]
        };

        let without_time = faults(&json!({ "eventTime": null, "involvedObject": { "namespace": "other" } }));
        let about_nothing = faults(&json!({ "involvedObject": { "namespace": null } }));
        let of_no_namespace =
            faults(&json!({ "metadata": { "namespace": "default" }, "involvedObject": { "namespace": null } }));

        assert_eq!((without_time, about_nothing, of_no_namespace), (misplaced("other"), misplaced(""), Vec::new()));
    }
}
