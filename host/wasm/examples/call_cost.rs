//! Measures the cost of a decision and of a measurement: `make bench`.
//! Every call gets a fresh instance, as in the controller.

use kulta_wasm::analyzer::{Action, Call, Occasion, Response};
use kulta_wasm::strategy::{Goal, Revision, Rollout, Situation};
use kulta_wasm::{Limits, Plugins};
use std::error::Error;
use std::io::Write as _;
use std::time::{Duration, Instant};

const CALLS: usize = 10_000;

/// A plugin and its configuration.
const CASES: [(&str, &str); 2] = [
    (
        "canary",
        r#"{"steps":[{"setWeight":10},{"pause":{"duration":"5m"}},{"setWeight":50},{"pause":{"duration":"5m"}}]}"#,
    ),
    ("linear", r#"{"stepWeight":10,"interval":"5m"}"#),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let began = Instant::now();
    let plugins = Plugins::new(Limits::default())?;
    writeln!(out, "start: {:?}", began.elapsed())?;
    for (name, config) in CASES {
        let began = Instant::now();
        let plugin = plugins.strategy(name).await?;
        writeln!(out, "{name}: compile and describe {:?}", began.elapsed())?;
        let asked = situation();
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let began = Instant::now();
            plugin.decide(config, &asked).await?;
            times.push(began.elapsed());
        }
        writeln!(out, "{name}: {CALLS} calls, {}", quantiles(times))?;
    }

    let analyzer = plugins.analyzer("prometheus").await?;
    let config = r#"{"address":"http://prometheus:9090","query":"sum(rate(http_requests_total[1m]))"}"#;
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let began = Instant::now();
        let Action::Fetch(fetching) = analyzer.analyze(config, &input(None)).await? else {
            return Err("prometheus returned no request".into());
        };
        let asked = Occasion { memory: fetching.memory, ..input(Some(ANSWER)) };
        analyzer.analyze(config, &asked).await?;
        times.push(began.elapsed());
    }
    writeln!(out, "prometheus: {CALLS} measurements of two calls, {}", quantiles(times))?;
    Ok(())
}

/// Prometheus' answer to an instant query.
const ANSWER: &str =
    r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1767225600,"0.9987"]}]}}"#;

fn input(answer: Option<&str>) -> Occasion {
    let response = |body: &str| Response { status: 200, headers: Vec::new(), body: body.as_bytes().to_vec() };
    Occasion {
        call: Call::Measure,
        rollout: Some(situation().rollout),
        run: "shop/web-7f4b6d9c8-2".into(),
        metric: "success-rate".into(),
        now: 1_767_225_600_000,
        run_started_at: 1_767_225_600_000,
        number: 1,
        last: false,
        memory: Vec::new(),
        answers: answer.map(|body| Ok(response(body))).into_iter().collect(),
        facts: Vec::new(),
    }
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let [p50, p99, max] = [0.50, 0.99, 1.0].map(|share| quantile(&times, share));
    format!("p50 {p50:?}, p99 {p99:?}, max {max:?}")
}

fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share) as usize).copied().unwrap_or_default()
}

fn situation() -> Situation {
    let revision =
        |hash: &str, number| Revision { hash: hash.into(), number, desired: 2, created: 2, ready: 2, available: 2 };
    Situation {
        rollout: Rollout {
            namespace: "shop".into(),
            name: "web".into(),
            replicas: 2,
            max_weight: 100,
            stable: Some(revision("5d7c9b8f6", 1)),
            canary: revision("7f4b6d9c8", 2),
            others: Vec::new(),
            facts: Vec::new(),
        },
        now: 1_767_225_600_000,
        goal: Goal::Forward,
        step: 1,
        step_started_at: 1_767_225_600_000,
        memory: Vec::new(),
        weight: 10,
        reached: true,
        paused: None,
        promoted: false,
        runs: Vec::new(),
        facts: Vec::new(),
    }
}
