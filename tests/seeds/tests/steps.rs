//! What a canary's step plugin costs in writes of the Rollout's status.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use kulta_seeds::calm::{Calm, run};
use kulta_seeds::cluster::What;
use kulta_seeds::objects::{rollout, route, template};
use kulta_wasm::fixtures::GATE;
use serde_json::{Value, json};

const AT_ONCE: Duration = Duration::from_millis(5);
const SLOWLY: Duration = Duration::from_secs(3);
/// Longer than any of these updates takes.
const UPDATE: Duration = Duration::from_secs(120);
const NAME: &str = "web";

/// The fixture `gate`, which asks a URL once and is done.
fn gate() -> Value {
    json!({ "plugin": { "name": "gate", "config": { "url": "http://gate.test/" } } })
}

fn serve_gate(calm: &Calm) -> Result<()> {
    let name = format!("gate-{:?}.wasm", std::thread::current().id());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, GATE)?;
    let plugin = json!({
        "apiVersion": "kulta.io/v1alpha1", "kind": "Plugin", "metadata": { "name": "gate" },
        "spec": { "source": { "file": file }, "grants": [{ "urlPrefix": "http://gate.test" }] },
    });
    calm.cluster.create_any("kulta.io/v1alpha1", "Plugin", "", plugin)
}

/// An update by these steps, until it pauses: the Rollout, and the writes of its status.
async fn updated(steps: &[Value], answers_take: Duration) -> Result<(Value, Vec<String>)> {
    let calm = Calm::start()?;
    calm.gauge.answers_take(answers_take);
    if steps.contains(&gate()) {
        serve_gate(&calm)?;
    }
    calm.cluster.deploy(route(NAME, &[NAME]), vec![rollout(NAME, NAME, &json!(steps))])?;
    calm.until_phase(NAME, "Healthy").await?;
    tokio::time::sleep(UPDATE).await;

    let patch = json!({ "spec": { "template": template(NAME, "v2") } });
    calm.cluster.patch(What::Rollout, NAME, false, patch)?;
    let writes = calm.writes_within(UPDATE).await?;

    calm.until_phase(NAME, "Paused").await?;
    let status = writes.into_iter().filter(|write| write.contains(" rollouts/")).collect();
    Ok((calm.get(What::Rollout, NAME)?, status))
}

/// How many more writes of the status an update takes with these steps between its weight and its pause.
async fn cost(steps: &[Value], answers_take: Duration) -> Result<usize> {
    let all = |steps: &[Value]| [&[json!({ "setWeight": 30 })], steps, &[json!({ "pause": {} })]].concat();
    let (_, without) = updated(&all(&[]), answers_take).await?;
    let (seen, with) = updated(&all(steps), answers_take).await?;
    let entries = seen.pointer("/status/canary/stepPluginStatuses").and_then(Value::as_array);
    let phases: Vec<_> = entries.into_iter().flatten().filter_map(|entry| entry.get("phase")).collect();
    ensure!(phases == vec!["Successful"; steps.len()], "{seen}");
    ensure!(!without.is_empty() && with.len() >= without.len(), "{with:?}, and without: {without:?}");
    Ok(with.len() - without.len())
}

#[test]
fn a_step_plugin_that_answers_at_once_costs_no_write_beside_that_of_the_step_that_follows() -> Result<()> {
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
fn a_step_plugin_that_takes_three_seconds_is_noted_as_running_and_costs_one_write_more() -> Result<()> {
    run(async || {
        let cost = cost(&[gate()], SLOWLY).await?;

        ensure!(cost == 1, "{cost} writes");
        Ok(())
    })
}
