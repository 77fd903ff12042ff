//! Fixtures that several test modules share.

use crate::strategy::{Goal, Revision, Rollout, Situation};
use crate::{Limits, Plugins, StrategyPlugin};
use std::sync::{Arc, LazyLock};
use tokio::sync::OnceCell;

/// A strategy that misbehaves as its configuration says.
pub(crate) const HOSTILE: &[u8] = include_bytes!(env!("KULTA_FIXTURE_HOSTILE"));

pub(crate) fn situation() -> Situation {
    let revision =
        |hash: &str, number| Revision { hash: hash.into(), number, desired: 4, created: 4, ready: 4, available: 4 };
    Situation {
        rollout: Rollout {
            namespace: "shop".into(),
            name: "web".into(),
            replicas: 4,
            max_weight: 100,
            stable: Some(revision("a", 1)),
            canary: revision("b", 2),
            others: Vec::new(),
            facts: Vec::new(),
        },
        now: 1_767_225_600_000,
        goal: Goal::Forward,
        step: 0,
        step_started_at: 1_767_225_600_000,
        memory: Vec::new(),
        weight: 0,
        reached: false,
        paused: None,
        promoted: false,
        runs: Vec::new(),
        facts: Vec::new(),
    }
}

/// The built-in plugins, compiled once for all tests: Cranelift takes seconds in an unoptimised build.
pub(crate) static BUILT_IN: LazyLock<Plugins> = LazyLock::new(plugins);

pub(crate) fn plugins() -> Plugins {
    Plugins::new(Limits::default()).unwrap()
}

static HOSTILE_LOADED: OnceCell<Arc<StrategyPlugin>> = OnceCell::const_new();

pub(crate) async fn hostile() -> Arc<StrategyPlugin> {
    let load = async || {
        let loaded = BUILT_IN.load("hostile", HOSTILE.to_vec(), Limits::default()).await.unwrap();
        Arc::clone(loaded.strategy().unwrap())
    };
    Arc::clone(HOSTILE_LOADED.get_or_init(load).await)
}
