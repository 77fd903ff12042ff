//! Counts the writes of the Rollout's status that a canary's step plugin costs.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use kulta_seeds::cluster::ObjectKind;
use kulta_seeds::harness::{Harness, run};
use kulta_seeds::objects::{deploy, rollout, route, template};
use kulta_wasm::fixtures::GATE;
use serde_json::{Value, json};

const AT_ONCE: Duration = Duration::from_millis(5);
const SLOWLY: Duration = Duration::from_secs(3);
/// Longer than any of these updates takes.
const UPDATE: Duration = Duration::from_secs(120);
const NAME: &str = "web";

/// A step of the fixture `gate`, which requests a URL once and is successful.
fn gate() -> Value {
    json!({ "plugin": { "name": "gate", "config": { "url": "http://gate.test/" } } })
}

fn serve_gate(harness: &Harness) -> Result<()> {
    let name = format!("gate-{:?}.wasm", std::thread::current().id());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, GATE)?;
    let plugin = json!({
        "apiVersion": "kulta.io/v1alpha1", "kind": "Plugin", "metadata": { "name": "gate" },
        "spec": { "source": { "file": file }, "grants": [{ "urlPrefix": "http://gate.test" }] },
    });
    harness.cluster.create_any("kulta.io/v1alpha1", "Plugin", "", plugin)
}

/// Updates a rollout with these steps until it pauses; returns the Rollout and the writes of its status.
async fn updated(steps: &[Value], latency: Duration) -> Result<(Value, Vec<String>)> {
    let harness = Harness::start()?;
    harness.metrics_server.set_latency(latency);
    if steps.contains(&gate()) {
        serve_gate(&harness)?;
    }
    deploy(&harness.cluster, route(NAME, &[NAME]), vec![rollout(NAME, NAME, &json!(steps))])?;
    harness.wait_for_phase(NAME, "Healthy").await?;
    tokio::time::sleep(UPDATE).await;

    let patch = json!({ "spec": { "template": template(NAME, "v2") } });
    harness.cluster.patch(ObjectKind::Rollout, NAME, false, patch)?;
    let writes = harness.writes_within(UPDATE).await?;

    harness.wait_for_phase(NAME, "Paused").await?;
    let status = writes.into_iter().filter(|write| write.contains(" rollouts/")).collect();
    Ok((harness.get(ObjectKind::Rollout, NAME)?, status))
}

/// The number of additional status writes of an update with these steps between its weight and its pause.
async fn cost(steps: &[Value], latency: Duration) -> Result<usize> {
    let all = |steps: &[Value]| [&[json!({ "setWeight": 30 })], steps, &[json!({ "pause": {} })]].concat();
    let (_, without) = updated(&all(&[]), latency).await?;
    let (rollout, with) = updated(&all(steps), latency).await?;
    let entries = rollout.pointer("/status/canary/stepPluginStatuses").and_then(Value::as_array);
    let phases: Vec<_> = entries.into_iter().flatten().filter_map(|entry| entry.get("phase")).collect();
    ensure!(phases == vec!["Successful"; steps.len()], "{rollout}");
    ensure!(!without.is_empty() && with.len() >= without.len(), "{with:?}, and without: {without:?}");
    Ok(with.len() - without.len())
}

#[test]
fn a_step_plugin_that_answers_at_once_costs_no_write_besides_that_of_the_next_step() -> Result<()> {
    run(async || {
        let cost = cost(&[gate()], AT_ONCE).await?;

        ensure!(cost == 0, "{cost} writes");
        Ok(())
    })
}

#[test]
fn step_plugins_in_a_row_that_answer_at_once_cost_one_write_each() -> Result<()> {
    run(async || {
        let steps = [gate(), gate(), gate()];

        let cost = cost(&steps, AT_ONCE).await?;

        ensure!(cost < steps.len(), "{cost} writes");
        Ok(())
    })
}

#[test]
fn a_step_plugin_that_takes_three_seconds_is_recorded_as_running_by_one_more_write() -> Result<()> {
    run(async || {
        let cost = cost(&[gate()], SLOWLY).await?;

        ensure!(cost == 1, "{cost} writes");
        Ok(())
    })
}
