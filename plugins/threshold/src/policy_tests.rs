//! The policy by tables, called as the host calls it: configuration as JSON.

use crate::Threshold;
use kulta_plugin::analyzer::{Action, Judged, Occasion};
use kulta_plugin::fetch::{Answer, Request};
use kulta_plugin::testing::NOW;
use kulta_plugin::testing::analyzer::{check_config, input, measure, with_fact};
use kulta_plugin::testing::respond;
use kulta_plugin::{Error, Label, Verdict};
use proptest::prelude::*;

const ERRORS: &str = r#"{"address":"http://p","gateway":"contour","service":"web-canary","errorRate":"< 1%"}"#;
const BOTH: &str = r#"{"address":"http://p","gateway":"contour","service":"web-canary","errorRate":"< 1%","latency":{"p99":"< 300ms"}}"#;
const OWN: &str = r#"{"address":"http://p","queries":{"requests":"r","errors":"e","latencyBuckets":"b"},
    "errorRate":"< 1%","latency":{"p50":"< 100ms","p99":"< 300ms"},"minimum":5}"#;

fn vector(values: &[&str]) -> Answer {
    let samples: Vec<String> =
        values.iter().map(|value| format!(r#"{{"metric":{{}},"value":[1,"{value}"]}}"#)).collect();
    let result = samples.join(",");
    respond(200, &format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#))
}

/// Answers in the order of the queries; an empty text is an empty vector.
fn measured(config: &str, answers: &[&str]) -> Judged {
    let mut answers = answers.iter();
    let server = |_: &Request| match answers.next() {
        Some(&"") => vector(&[]),
        Some(value) => vector(&[value]),
        None => panic!("more requests than answers"),
    };
    match measure::<Threshold>(config, &input(), server).0 {
        Ok(Action::Judged(judged)) => judged,
        other => panic!("expected a verdict, got {other:?}"),
    }
}

fn queries_of(config: &str) -> Vec<String> {
    queries_at(config, &input())
}

fn queries_at(config: &str, input: &Occasion) -> Vec<String> {
    let (_, requests) = measure::<Threshold>(config, input, |_| vector(&["1"]));
    let decoded = |request: Request| {
        let query = request.url.split_once("query=").unwrap().1.split('&').next().unwrap().to_owned();
        percent_decoded(&query)
    };
    requests.into_iter().map(decoded).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
        bytes.push(if byte == b'%' { hex(rest.next().unwrap()) << 4 | hex(rest.next().unwrap()) } else { byte });
    }
    String::from_utf8(bytes).unwrap()
}

fn metadata(judged: &Judged) -> Vec<(&str, &str)> {
    judged.metadata.iter().map(|Label { key, value }| (key.as_str(), value.as_str())).collect()
}

#[test]
fn the_window_does_not_begin_before_the_update() {
    let since = |millis: u64| with_fact(input(), "rollout.started-at", &(NOW - millis).to_string());

    let windows = [since(12_500), since(3_600_000), input()].map(|input| {
        let query = queries_at(ERRORS, &input).remove(0);
        query.split_once("}[").unwrap().1.split_once(']').unwrap().0.to_owned()
    });

    assert_eq!(windows, ["12s", "1m", "1m"]);
}

#[test]
fn the_window_begins_after_the_revision_serves_alone() {
    let since = |millis: u64| {
        let updated = with_fact(input(), "rollout.started-at", &(NOW - 50_000).to_string());
        with_fact(updated, "rollout.serving-since", &(NOW - millis).to_string())
    };

    let windows = [since(12_500), since(3_600_000)].map(|input| {
        let query = queries_at(ERRORS, &input).remove(0);
        query.split_once("}[").unwrap().1.split_once(']').unwrap().0.to_owned()
    });

    assert_eq!(windows, ["10s", "1m"]);
}

#[test]
fn before_that_there_is_no_request_and_no_data() {
    let input = with_fact(input(), "rollout.serving-since", &(NOW - 2_900).to_string());

    let (answer, requests) = measure::<Threshold>(BOTH, &input, |_| panic!("asked"));

    assert_eq!(requests, []);
    match answer {
        Ok(Action::Judged(judged)) => {
            assert_eq!(judged.verdict, Verdict::Inconclusive("0 requests, at least 20 are needed".into()))
        }
        other => panic!("expected a verdict, got {other:?}"),
    }
}

#[test]
fn a_series_counts_from_nothing_only_if_a_scrape_of_the_window_was_without_it() {
    let query = queries_of(ERRORS).remove(1);

    let later = "[1m]) < on (job, instance) group_left () max by (job, instance) (sum_over_time(up[1m]))";
    assert!(query.contains("count_over_time(") && query.contains(later), "{query}");
}

#[test]
fn a_violated_limit_fails_and_is_named() {
    let judged = measured(ERRORS, &["412.3", "21.4"]);
    let reason = "error rate 5.1904 % is not < 1 %, of 412 requests";
    assert_eq!(judged.verdict, Verdict::Fail(reason.into()));
    assert_eq!(judged.reason, reason);
    assert_eq!(judged.value, r#"{"errorRate":0.051904,"requests":412}"#);
    assert_eq!(metadata(&judged), [("requests", "412"), ("errorRate", "5.1904 %")]);
    assert!(!judged.settles);
}

#[test]
fn satisfied_limits_pass_and_are_named() {
    let judged = measured(BOTH, &["400", "1", "120.25"]);
    assert_eq!(judged.verdict, Verdict::Pass);
    assert_eq!(judged.reason, "error rate 0.25 % is < 1 % and p99 120.3 ms is < 300 ms, of 400 requests");
    assert_eq!(judged.value, r#"{"errorRate":0.0025,"latency":{"p99":120.25},"requests":400}"#);
}

#[test]
fn the_reason_of_a_failure_names_only_violated_limits() {
    for (answers, reason) in [
        (["400", "1", "450"], "p99 450 ms is not < 300 ms, of 400 requests"),
        (["400", "40", "120"], "error rate 10 % is not < 1 %, of 400 requests"),
        (["400", "40", "450"], "error rate 10 % is not < 1 % and p99 450 ms is not < 300 ms, of 400 requests"),
    ] {
        assert_eq!(measured(BOTH, &answers).verdict, Verdict::Fail(reason.into()));
    }
}

#[test]
fn too_few_requests_give_no_verdict() {
    for requests in ["19.4", "0", "", "NaN"] {
        let judged = measured(ERRORS, &[requests, "19"]);
        assert!(matches!(judged.verdict, Verdict::Inconclusive(_)), "{requests}: {:?}", judged.verdict);
        assert!(judged.reason.ends_with(" requests, at least 20 are needed"), "{}", judged.reason);
    }
    assert!(matches!(measured(ERRORS, &["20", "19"]).verdict, Verdict::Fail(_)));
}

#[test]
fn the_policy_for_no_data_is_followed() {
    let config = |policy: &str| ERRORS.replace('}', &format!(r#","noData":"{policy}"}}"#));
    let reason = "0 requests, at least 20 are needed".to_owned();
    for (policy, verdict) in [
        ("inconclusive", Verdict::Inconclusive(reason.clone())),
        ("fail", Verdict::Fail(reason.clone())),
        ("pass", Verdict::Pass),
    ] {
        let judged = measured(&config(policy), &["0", "0"]);
        assert_eq!((judged.verdict, judged.reason), (verdict, reason.clone()));
    }
}

#[test]
fn a_missing_series_of_errors_means_none() {
    assert_eq!(measured(ERRORS, &["100", ""]).verdict, Verdict::Pass);
}

#[test]
fn a_missing_latency_is_no_data_unless_another_limit_is_violated() {
    for missing in ["NaN", ""] {
        let reason = "p99 was not measured, of 400 requests";
        assert_eq!(measured(BOTH, &["400", "0", missing]).verdict, Verdict::Inconclusive(reason.into()));
        assert!(matches!(measured(BOTH, &["400", "40", missing]).verdict, Verdict::Fail(_)));
    }
    assert_eq!(measured(BOTH, &["400", "0", "NaN"]).value, r#"{"errorRate":0,"latency":{"p99":null},"requests":400}"#);
}

#[test]
fn an_infinite_latency_violates_its_limit() {
    let reason = "p99 inf ms is not < 300 ms, of 400 requests";
    assert_eq!(measured(BOTH, &["400", "0", "+Inf"]).verdict, Verdict::Fail(reason.into()));
}

#[test]
fn a_success_rate_is_the_complement_of_the_error_rate() {
    let config = ERRORS.replace(r#""errorRate":"< 1%""#, r#""successRate":">= 99%""#);
    assert_eq!(measured(&config, &["100", "1"]).reason, "success rate 99 % is >= 99 %, of 100 requests");
    assert!(matches!(measured(&config, &["100", "2"]).verdict, Verdict::Fail(_)));
}

#[test]
fn custom_queries_are_in_seconds_by_default() {
    let judged = measured(OWN, &["100", "0", "0.05", "0.2"]);
    assert_eq!(judged.value, r#"{"errorRate":0,"latency":{"p50":50,"p99":200},"requests":100}"#);
    let millis = OWN.replace(r#""latencyBuckets":"b""#, r#""latencyBuckets":"b","latencyUnit":"ms""#);
    assert_eq!(measured(&millis, &["100", "0", "50", "200"]).value, judged.value);
}

#[test]
fn custom_queries_are_sent_unchanged() {
    assert_eq!(queries_of(OWN), ["r", "e", "histogram_quantile(0.5, b)", "histogram_quantile(0.99, b)"]);
}

#[test]
fn contours_metrics_are_selected_by_service() {
    let queries = queries_of(BOTH);
    assert_eq!(queries.len(), 3);
    let cluster = r#"envoy_cluster_name=~"shop_web-canary_[0-9]+""#;
    let requests = format!("(sum(increase(envoy_cluster_upstream_rq_xx{{{cluster}}}[1m])) or vector(0))");
    let errors = format!(r#"envoy_cluster_upstream_rq_xx{{{cluster},envoy_response_code_class="5"}}[1m]"#);
    let latency = format!(
        "histogram_quantile(0.99, sum by (le) (increase(envoy_cluster_upstream_rq_time_bucket{{{cluster}}}[1m])))"
    );
    assert!(queries[0].starts_with(&requests), "{}", queries[0]);
    assert!(queries[1].contains(&errors), "{}", queries[1]);
    assert_eq!(queries[2], latency);
}

/// From an Envoy 1.40 with the cluster names that Contour 1.33 uses in metrics.
const SCRAPE: &str = include_str!("../golden/contour.prom");

#[test]
fn the_metrics_of_the_queries_are_in_a_real_scrape() {
    let config = BOTH.replace(r#""service":"web-canary""#, r#""service":"web-canary","port":80"#);
    for (query, series) in queries_of(&config).iter().zip([
        r#"envoy_cluster_upstream_rq_xx{envoy_cluster_name="shop_web-canary_80"}"#,
        r#"envoy_cluster_upstream_rq_xx{envoy_cluster_name="shop_web-canary_80",envoy_response_code_class="5"}"#,
        r#"envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="shop_web-canary_80"}"#,
    ]) {
        let (metric, labels) = series.trim_end_matches('}').split_once('{').unwrap();
        assert!(query.contains(series), "{query}");
        let is_asked_for = |line: &&str| {
            line.starts_with(&format!("{metric}{{")) && labels.split(',').all(|label| line.contains(label))
        };
        assert!(SCRAPE.lines().any(|line| is_asked_for(&line)), "{series}");
    }
}

#[test]
fn namespace_port_and_window_can_be_configured() {
    let config = ERRORS.replace('}', r#","namespace":"other","port":80,"window":"90s"}"#);
    let query = &queries_of(&config)[0];
    assert!(query.contains(r#"{envoy_cluster_name="other_web-canary_80"}[1m30s]"#), "{query}");
}

#[test]
fn an_envoys_cluster_is_selected_by_its_own_name() {
    let config = r#"{"address":"http://p","gateway":"envoy","cluster":"a\"b\\c","errorRate":"< 1%"}"#;
    let query = &queries_of(config)[0];
    assert!(query.contains(r#"{envoy_cluster_name="a\"b\\c"}"#), "{query}");
}

#[test]
fn all_queries_are_for_one_instant() {
    let (_, requests) = measure::<Threshold>(BOTH, &input(), |_| vector(&["1"]));
    let time = format!("&time={}", NOW / 1_000);
    assert!(requests.iter().all(|request| request.url.ends_with(&time)), "{requests:?}");
}

#[test]
fn one_failed_request_is_an_error() {
    let mut answers = [vector(&["400"]), respond(503, "busy")].into_iter();
    let (ended, _) = measure::<Threshold>(ERRORS, &input(), |_| answers.next().unwrap());
    assert_eq!(ended, Err(Error::Unavailable("the server answered 503: busy".into())));
}

#[test]
fn more_than_one_series_is_rejected_with_the_query() {
    let (ended, _) = measure::<Threshold>(OWN, &input(), |_| vector(&["1", "2"]));
    match ended {
        Err(Error::InvalidConfig(message)) => {
            assert!(
                message.starts_with("queries: 2 series where one is needed") && message.ends_with(": r"),
                "{message}"
            );
        }
        other => panic!("expected an invalid configuration, got {other:?}"),
    }
}

#[test]
fn a_run_without_a_rollout_needs_a_namespace() {
    let asked = kulta_plugin::analyzer::Occasion { rollout: None, ..input() };
    let (ended, _) = measure::<Threshold>(ERRORS, &asked, |_| vector(&["1"]));
    assert_eq!(ended, Err(Error::InvalidConfig("namespace: missing, and no rollout owns the run".into())));
}

#[test]
fn bad_configuration_is_reported_by_its_path() {
    for (config, start) in [
        (r#"{"gateway":"contour","service":"a"}"#, "errorRate, successRate or latency: one is needed"),
        (r#"{"errorRate":"< 1%"}"#, "gateway or queries: one is needed"),
        (r#"{"errorRate":"1%","gateway":"contour","service":"a"}"#, "errorRate: not a limit"),
        (r#"{"successRate":"< 1%","gateway":"contour","service":"a"}"#, "successRate: not a limit"),
        (r#"{"latency":{"p99":"< 300"},"gateway":"contour","service":"a"}"#, "latency.p99: not a limit"),
        (r#"{"latency":{"99":"< 3ms"},"gateway":"contour","service":"a"}"#, "latency.99: not a percentile"),
        (r#"{"latency":{"p100":"< 3ms"},"gateway":"contour","service":"a"}"#, "latency.p100: not a percentile"),
        (r#"{"latency":{"p0":"< 3ms"},"gateway":"contour","service":"a"}"#, "latency.p0: not a percentile"),
        (r#"{"latency":{"pinf":"< 3ms"},"gateway":"contour","service":"a"}"#, "latency.pinf: not a percentile"),
        (r#"{"errorRate":"< 1%","gateway":"istio"}"#, "gateway: "),
        (r#"{"errorRate":"< 1%","gateway":"contour"}"#, "service: missing"),
        (r#"{"errorRate":"< 1%","gateway":"contour","service":"a\"b"}"#, "service: not a name"),
        (r#"{"errorRate":"< 1%","gateway":"contour","service":"a","namespace":"A"}"#, "namespace: not a name"),
        (
            r#"{"errorRate":"< 1%","gateway":"contour","service":"a","cluster":"b"}"#,
            "cluster: belongs to gateway: envoy",
        ),
        (r#"{"errorRate":"< 1%","gateway":"contour","service":"a","window":0}"#, "window: must be longer"),
        (r#"{"errorRate":"< 1%","gateway":"contour","service":"a","minimum":0}"#, "minimum: must be at least 1"),
        (r#"{"errorRate":"< 1%","gateway":"contour","service":"a","address":"p"}"#, "address: not an http"),
        (r#"{"errorRate":"< 1%","gateway":"envoy"}"#, "cluster: missing"),
        (r#"{"errorRate":"< 1%","gateway":"envoy","cluster":"a","port":80}"#, "port: belongs to gateway: contour"),
        (r#"{"errorRate":"< 1%","gateway":"envoy","queries":{"requests":"r"}}"#, "queries: not beside gateway"),
        (r#"{"errorRate":"< 1%","queries":{"requests":"r"}}"#, "queries.errors: missing"),
        (r#"{"errorRate":"< 1%","queries":{"requests":" ","errors":"e"}}"#, "queries.requests: missing"),
        (r#"{"latency":{"p99":"< 1s"},"queries":{"requests":"r"}}"#, "queries.latencyBuckets: missing"),
        (r#"{"errorRate":"< 1%","queries":{"requests":"r","errors":"e"},"window":60}"#, "window: belongs to gateway"),
        (
            r#"{"errorRate":"< 1%","queries":{"requests":"r","errors":"e"},"service":"a"}"#,
            "service: belongs to gateway",
        ),
        (r#"{"errorRate":"< 1%","noData":"maybe"}"#, "noData: "),
        (r#"{"errorrate":"< 1%"}"#, "errorrate: "),
    ] {
        match check_config::<Threshold>(config) {
            Err(Error::InvalidConfig(message)) => assert!(message.starts_with(start), "{config}: {message}"),
            other => panic!("expected an invalid configuration for {config}, got {other:?}"),
        }
    }
    for config in [ERRORS, BOTH, OWN] {
        assert_eq!(check_config::<Threshold>(config), Ok(()));
    }
}

proptest! {
    #[test]
    fn nothing_passes_without_enough_requests(requests in 0u32..40, errors in 0u32..40) {
        let judged = measured(ERRORS, &[&requests.to_string(), &errors.to_string()]);
        let passes = requests >= 20 && f64::from(errors) < f64::from(requests) * 0.01;
        prop_assert_eq!(judged.verdict == Verdict::Pass, passes);
        prop_assert_eq!(matches!(judged.verdict, Verdict::Inconclusive(_)), requests < 20);
    }
}
