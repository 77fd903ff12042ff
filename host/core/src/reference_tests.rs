use std::collections::BTreeMap;
use std::sync::Arc;

use kulta_api::strategy::PodMetadata;
use kulta_api::validation::{FieldError, joined};

use crate::observed::{Observed, Service};
use crate::reference::check;
use crate::rollout::begin;
use crate::rollout::questions::Turn;
use crate::rollout::tests::support::{done, hold, now, steps, stored, under_way};

/// A canary under way, the Service of that name selecting `role=blue` beside the labels of the template.
fn selecting_a_role(service: &str) -> Observed {
    let mut observed = under_way(steps(), 1, 1, 50);
    let known = observed.services[service].clone().unwrap();
    let mut selector = known.selector.clone();
    selector.insert("role".to_owned(), "blue".to_owned());
    observed.services.insert(service.to_owned(), Some(Arc::new(Service { selector, ..Service::clone(&known) })));
    observed
}

fn role(value: &str) -> Option<PodMetadata> {
    let labels = BTreeMap::from([("role".to_owned(), value.to_owned())]);
    Some(PodMetadata { labels, ..PodMetadata::default() })
}

/// Argo: `validSvcSelectorForType`.
#[test]
fn a_service_may_select_the_labels_that_its_own_side_is_given() {
    for (service, canary, stable, fits) in [
        ("canary", role("blue"), None, true),
        ("stable", None, role("blue"), true),
        ("canary", None, role("blue"), false),
        ("stable", role("blue"), None, false),
        ("canary", role("green"), None, false),
        ("canary", None, None, false),
    ] {
        let mut observed = selecting_a_role(service);
        let fields = &mut observed.rollout.spec.strategy.canary.as_mut().unwrap().fields;
        (fields.canary_metadata, fields.stable_metadata) = (canary, stable);

        let errors = joined(&check(&observed));

        assert_eq!(errors.is_empty(), fits, "{service}: {errors}");
    }
}

#[test]
fn a_selector_that_matches_the_pods_of_another_rollout_is_a_warning_and_no_error() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.rollout.status.as_mut().unwrap().observed_generation = "0".into();
    observed.conflicting_selector = Some("shop".to_owned());

    assert_eq!(
        warned(&observed),
        [
            "spec.selector: matches pods of Rollout \"shop\" too: counts by labels, such as those of an autoscaler, take in both",
        ]
    );
    assert_eq!(check(&observed), []);
}

#[test]
fn a_spec_that_looks_wrong_but_can_be_followed_causes_a_warning() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.rollout.status.as_mut().unwrap().observed_generation = "0".into();
    let fields = &mut observed.rollout.spec.strategy.canary.as_mut().unwrap().fields;
    fields.scale_down_delay_seconds = Some(-1);

    assert_eq!(warned(&observed), ["spec.strategy.canary.scaleDownDelaySeconds: is negative: it counts as 0"]);
}

#[test]
fn an_unknown_field_causes_a_warning() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.rollout.status.as_mut().unwrap().observed_generation = "0".into();
    let error = FieldError { path: "spec.replcas".to_owned(), message: "is not a field of the API".to_owned() };
    observed.unknown_fields = vec![error];

    assert_eq!(warned(&observed), ["spec.replcas: is not a field of the API"]);
}

#[test]
fn a_warning_that_an_error_has_hidden_is_emitted_when_the_error_is_gone() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.rollout.metadata.generation = Some(2);
    let fields = &mut observed.rollout.spec.strategy.canary.as_mut().unwrap().fields;
    fields.scale_down_delay_seconds = Some(-1);
    let canary = observed.services.insert("canary".to_owned(), None).unwrap();
    let mut healed = stored(observed.clone(), &done(begin(observed, now())));
    healed.services.insert("canary".to_owned(), canary);

    assert_eq!(warned(&healed), ["spec.strategy.canary.scaleDownDelaySeconds: is negative: it counts as 0"]);
}

fn warned(observed: &Observed) -> Vec<String> {
    let mut turn = begin(observed.clone(), now());
    while let Turn::Ask(ask) = turn {
        turn = ask.answer(Ok(hold(1, 50)));
    }
    let events = done(turn).events.into_iter().filter(|event| event.reason.as_str() == "SpecWarning");
    events.map(|event| event.message).collect()
}
