//! Whole runs: the analyzer called as the host calls it, with a simulated Prometheus and pods.

use crate::Sequential;
use kulta_plugin::analyzer::{Action, Judged, Occasion};
use kulta_plugin::fetch::{Answer, Failure, Request};
use kulta_plugin::testing::NOW;
use kulta_plugin::testing::analyzer::{Run, analyze, input, measure};
use kulta_plugin::testing::respond;
use kulta_plugin::{Error, Verdict};

const CONFIG: &str = r#"{"address":"http://prometheus:9090","warmup":0,
    "canary":{"total":"ct","bad":"cb"},"stable":{"total":"st","bad":"sb"}}"#;
const EMPTY: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
const INTERVAL: u64 = 10_000;

/// Requests per second of each side, and bad requests per thousand from a time on (Unix milliseconds).
#[derive(Clone, Copy)]
struct World {
    canary: (u64, u64),
    stable: (u64, u64),
    since: u64,
}

const HEALTHY: World = World { canary: (5, 5), stable: (95, 5), since: 0 };
const BROKEN: World = World { canary: (5, 100), ..HEALTHY };

impl World {
    /// Each side is one pod that is an hour old, scraped continuously.
    fn answer(self, request: &Request) -> Answer {
        let field = |name: &str| {
            let start = request.url.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            start.unwrap().to_owned()
        };
        let millis = |name: &str| (field(name).parse::<f64>().unwrap() * 1_000.0).round() as u64;
        let query = field("query");
        let (rate, bad) = if query.starts_with('c') { self.canary } else { self.stable };
        let value = |time: u64| match query.ends_with('t') {
            true => (time - (NOW - 3_600_000)) * rate / 1_000,
            false => time.saturating_sub(self.since.max(NOW - 3_600_000)) * rate * bad / 1_000_000,
        };
        let points: Vec<String> = (millis("start")..=millis("end"))
            .step_by(millis("step") as usize)
            .map(|time| format!(r#"[{},"{}"]"#, time as f64 / 1_000.0, value(time)))
            .collect();
        let series = format!(r#"{{"metric":{{"pod":"p"}},"values":[{}]}}"#, points.join(","));
        respond(200, &format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#))
    }
}

fn at(number: u32, memory: Vec<u8>) -> Occasion {
    Occasion { now: NOW + u64::from(number) * INTERVAL, run_started_at: NOW, number, memory, ..input() }
}

fn judged(action: Result<Action, Error>) -> Judged {
    match action {
        Ok(Action::Judged(judged)) => judged,
        other => panic!("expected a judgement, got {other:?}"),
    }
}

fn measured(config: &str, input: &Occasion, world: World) -> Judged {
    judged(measure::<Sequential>(config, input, |request| world.answer(request)).0)
}

/// Measures until the verdict is final, at most `measurements` times; returns the last verdict and the number of
/// measurements.
fn run(config: &str, world: World, measurements: u32) -> (Judged, usize) {
    let course = Run::<Sequential>::new(config)
        .count(measurements)
        .after(INTERVAL)
        .every(INTERVAL)
        .play(|request| world.answer(request));
    let judgements = course.judgements();
    (judgements.last().copied().unwrap().clone(), judgements.len())
}

fn metadata<'a>(judged: &'a Judged, key: &str) -> &'a str {
    let found = judged.metadata.iter().find(|entry| entry.key == key);
    found.map(|entry| entry.value.as_str()).unwrap_or_else(|| panic!("no {key} in {:?}", judged.metadata))
}

fn with(fields: &str) -> String {
    CONFIG.replacen('{', &format!("{{{fields},"), 1)
}

#[test]
fn a_bad_canary_fails_with_the_odds_ratio_in_the_reason() {
    let (judged, measurements) = run(CONFIG, BROKEN, 100);
    assert!(judged.settles && measurements <= 5, "{measurements}");
    let Verdict::Fail(reason) = &judged.verdict else { panic!("{:?}", judged.verdict) };
    assert!(reason.starts_with("the canary is worse: canary 15 of 150 bad (10 %), stable "), "{reason}");
    assert_eq!(metadata(&judged, "decision"), "worse");
}

#[test]
fn a_good_canary_passes_before_the_horizon() {
    let (judged, measurements) = run(CONFIG, HEALTHY, 1_000);
    assert!(judged.settles && measurements < 200, "{measurements}");
    assert_eq!(judged.verdict, Verdict::Pass);
    assert!(judged.reason.starts_with("the canary is not worse: "), "{}", judged.reason);
}

#[test]
fn an_undecided_measurement_passes_without_a_final_verdict() {
    let first = measured(CONFIG, &at(1, Vec::new()), HEALTHY);
    assert_eq!((first.verdict.clone(), first.settles), (Verdict::Pass, false));
    assert_eq!(metadata(&first, "decision"), "undecided");
    assert!(first.reason.starts_with("undecided after 1 window: "), "{}", first.reason);
}

#[test]
fn the_last_measurement_has_the_configured_result() {
    let (inconclusive, _) = run(CONFIG, HEALTHY, 5);
    let (pass, _) = run(&with(r#""horizon":"pass""#), HEALTHY, 5);
    assert!(matches!(inconclusive.verdict, Verdict::Inconclusive(_)) && inconclusive.settles);
    assert!(pass.verdict == Verdict::Pass && pass.settles);
    assert_eq!(metadata(&pass, "decision"), "undecided");
}

#[test]
fn too_few_requests_give_no_verdict() {
    let config = with(r#""horizon":"pass","minimumSample":1000"#);
    let (judged, _) = run(&config, BROKEN, 5);
    assert!(matches!(judged.verdict, Verdict::Inconclusive(_)), "{:?}", judged.verdict);
    assert!(judged.reason.contains("250 of the 1000 requests"), "{}", judged.reason);
}

#[test]
fn a_shared_outage_does_not_fail_the_canary() {
    let outage = World { canary: (5, 300), stable: (95, 300), since: NOW + 30_000 };
    let (judged, _) = run(CONFIG, outage, 60);
    assert_eq!(judged.verdict, Verdict::Pass, "{}", judged.reason);
}

#[test]
fn a_measurement_shows_its_numbers() {
    let mut judged = measured(CONFIG, &at(1, Vec::new()), HEALTHY);
    for number in 2..=6 {
        judged = measured(CONFIG, &at(number, judged.memory), HEALTHY);
    }
    assert_eq!(metadata(&judged, "canary"), "1 of 300 bad (0.333 %)");
    assert_eq!(metadata(&judged, "windows"), "6");
    for key in ["eValue", "eValueNotWorse", "pValue", "dispersion"] {
        assert!(metadata(&judged, key).parse::<f64>().unwrap() >= 0.0);
    }
    assert!(metadata(&judged, "confidenceSequence").starts_with("below "));
    assert_eq!(judged.value, metadata(&judged, "eValue"));
}

#[test]
fn the_first_measurement_estimates_dispersion_from_stables_past() {
    let (_, requests) = measure::<Sequential>(CONFIG, &at(1, Vec::new()), |request| HEALTHY.answer(request));
    let starts: Vec<bool> = requests.iter().map(|request| request.url.contains("start=1767225600&")).collect();
    assert_eq!(starts, [true, true, false, false]);
    assert!(requests[3].url.contains("query=sb&start=1767225360&end=1767225610&step=10"), "{}", requests[3].url);
}

#[test]
fn later_measurements_and_a_configured_dispersion_need_no_past() {
    let first = measured(CONFIG, &at(1, Vec::new()), HEALTHY);
    let later = measure::<Sequential>(CONFIG, &at(2, first.memory), |request| HEALTHY.answer(request)).1;
    let given =
        measure::<Sequential>(&with(r#""dispersion":2"#), &at(1, Vec::new()), |request| HEALTHY.answer(request)).1;
    assert!(later.iter().all(|request| request.url.contains("&start=1767225610&end=1767225620&")));
    assert!(given.iter().all(|request| request.url.contains("&start=1767225600&end=1767225610&")));
}

#[test]
fn no_request_is_made_while_warming_up() {
    let config = CONFIG.replace(r#""warmup":0"#, r#""warmup":"10s""#);
    let (action, requests) = measure::<Sequential>(&config, &at(1, Vec::new()), |request| HEALTHY.answer(request));
    assert_eq!((judged(action).verdict, requests.len()), (Verdict::Pass, 0));
}

#[test]
fn windows_of_a_failed_measurement_are_counted_by_the_next() {
    let first = measured(CONFIG, &at(1, Vec::new()), HEALTHY);
    let down = |_: &Request| Err(Failure::Failed("connection refused".into()));
    let failed = measure::<Sequential>(CONFIG, &at(2, first.memory.clone()), down).0;
    assert_eq!(failed, Err(Error::Unavailable("canary.total: the request failed: connection refused".into())));

    let after = measured(CONFIG, &at(4, first.memory.clone()), HEALTHY);
    let mut each = first;
    for number in 2..=4 {
        each = measured(CONFIG, &at(number, each.memory), HEALTHY);
    }
    assert_eq!(metadata(&after, "windows"), "4");
    assert_eq!(after.memory, each.memory, "as if nothing had happened");
}

#[test]
fn an_interrupted_measurement_counts_once() {
    let first = measured(CONFIG, &at(1, Vec::new()), HEALTHY);
    let Ok(Action::Fetch(fetching)) = analyze::<Sequential>(CONFIG, &at(2, first.memory.clone())) else {
        panic!("no requests")
    };
    let again = measured(CONFIG, &at(2, fetching.memory), HEALTHY);
    assert_eq!(again, measured(CONFIG, &at(2, first.memory), HEALTHY));
}

#[test]
fn a_second_measurement_at_the_same_time_counts_nothing() {
    let first = measured(CONFIG, &at(1, Vec::new()), HEALTHY);
    let again = measured(CONFIG, &at(1, first.memory.clone()), HEALTHY);
    assert_eq!(again, first);
}

#[test]
fn an_invalid_query_is_named() {
    let html = |_: &Request| respond(200, "<html>login</html>");
    let rate = |request: &Request| {
        let body = HEALTHY.answer(request).unwrap().text().replace("\"]]", ".5\"]]");
        respond(200, if request.url.contains("query=st") { &body } else { EMPTY })
    };
    let error_of =
        |server: &dyn Fn(&Request) -> Answer| match measure::<Sequential>(CONFIG, &at(1, Vec::new()), server).0 {
            Err(Error::Unavailable(message) | Error::InvalidConfig(message)) => message,
            other => panic!("expected an error, got {other:?}"),
        };
    assert!(error_of(&html).starts_with("canary.total: the answer is not Prometheus's"));
    assert!(error_of(&rate).starts_with("stable.total: {pod=\"p\"} rose by "));
}

#[test]
fn the_state_of_another_version_is_an_error() {
    let asked = at(2, vec![9, 1, 2, 3]);
    let error = analyze::<Sequential>(CONFIG, &asked).unwrap_err();
    assert_eq!(error, Error::Internal("memory: version 9; this plugin knows version 1".into()));
}

#[test]
fn unexpected_answers_are_an_error() {
    let first = measured(CONFIG, &at(1, Vec::new()), HEALTHY);
    let unasked = Occasion { answers: vec![respond(200, "{}"); 4], ..at(2, first.memory) };
    assert!(matches!(analyze::<Sequential>(CONFIG, &unasked), Err(Error::Internal(_))));
}
