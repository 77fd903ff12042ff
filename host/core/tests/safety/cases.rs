//! The smallest cases of faults that the properties have found.

use kulta_core::decision::{Decision, Scale};

use crate::arbitrary::hold;
use crate::happenings::{Happening, Side};
use crate::setup::{self, BlueGreen, Config};
use crate::view;
use crate::world::World;
use serde_json::json;

const REPLICAS: u32 = 10;
/// Reconciliations until a weight that may move has moved.
const TURNS: usize = 10;

fn config(dynamic_stable: bool) -> Config {
    Config {
        replicas: REPLICAS,
        blue_green: None,
        routed: true,
        router: true,
        dynamic_stable,
        max_weight: 100,
        max_surge: None,
        max_unavailable: None,
        min_pods: None,
        threshold: None,
        abort_delay: None,
        delay: None,
        routes: vec![1],
        managed: &[],
    }
}

/// A second version that has half of the traffic.
fn at_half(dynamic_stable: bool) -> World {
    let mut world = World::updating(config(dynamic_stable), 2);
    for _ in 0..TURNS {
        world.settle();
        world.reconcile(&[Ok(hold(50))]);
    }
    assert_eq!(canary_weight(&world), 50);
    world
}

fn canary_weight(world: &World) -> u32 {
    view::cluster(world).routing.unwrap().rules[0].canary
}

#[test]
fn a_strategy_that_never_lowers_the_weight_does_not_keep_an_abort_from_restoring_stable() {
    let mut world = at_half(true);
    world.happen(&Happening::Abort);

    for _ in 0..TURNS {
        world.reconcile(&[Ok(hold(100))]);
        world.settle();
    }

    assert_eq!(canary_weight(&world), 0);
}

#[test]
fn an_abort_does_not_point_the_canary_service_at_a_stable_revision_with_too_few_pods() {
    let mut world = at_half(false);
    world.happen(&Happening::LosePods { set: 0, available: 1 });
    world.happen(&Happening::Abort);

    let broken = world.reconcile(&[Ok(hold(50))]);

    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn a_canary_is_not_scaled_below_the_weight_that_is_written_beside_its_scale() {
    let mut world = World::updating(config(false), 2);
    world.settle();
    let pods_first = Decision { canary: Scale::Replicas(5), ..hold(0) };
    for _ in 0..TURNS {
        world.reconcile(&[Ok(pods_first.clone())]);
        world.settle();
    }

    let broken = world.reconcile(&[Ok(Decision { canary: Scale::Replicas(0), ..hold(50) })]);

    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn a_revision_that_the_stable_service_still_selects_keeps_its_pods_when_a_user_goes_back_to_it() {
    let mut world = at_half(false);
    world.happen(&Happening::PodsStart);
    let status = world.status_mut();
    status.stable_rs = status.current_pod_hash.clone();
    world.change_spec(&json!({ "template": setup::template(1) }));

    let broken = world.reconcile(&[Ok(Decision { canary: Scale::Replicas(1), ..hold(0) })]);

    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn the_stable_service_is_not_pointed_at_a_revision_with_too_few_pods_for_the_weight_that_is_written_beside_it() {
    let mut world = at_half(false);
    world.happen(&Happening::PodsStart);
    let status = world.status_mut();
    status.stable_rs = status.current_pod_hash.clone();
    world.happen(&Happening::TakeService(Side::Canary));

    let broken = world.reconcile(&[Ok(hold(50))]);

    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn an_abort_restores_stable_while_the_spec_pauses_a_rollout_whose_earlier_canary_still_has_pods() {
    let mut world = World::updating(Config { routed: false, router: false, ..config(false) }, 2);
    for _ in 0..TURNS {
        world.settle();
        world.reconcile(&[Ok(hold(50))]);
    }
    world.happen(&Happening::Version(3));
    world.happen(&Happening::Pause(true));
    world.reconcile(&[Ok(hold(0))]);
    world.happen(&Happening::Abort);

    for _ in 0..TURNS {
        world.reconcile(&[Ok(hold(0))]);
        world.settle();
    }

    assert_eq!(kulta_oracle::restored(&view::cluster(&world)), None, "{}", world.story());
}

#[test]
fn without_stable_the_active_service_stays_on_an_older_revision_that_has_more_pods_than_the_new_one() {
    let blue_green = Some(BlueGreen { preview: false, preview_pods: None });
    let mut world = World::updating(Config { blue_green, routed: false, router: false, ..config(false) }, 3);
    for (found, available) in world.revisions().zip([REPLICAS, REPLICAS, 1]) {
        (found.replicas, found.created_replicas, found.available_replicas) = (REPLICAS, REPLICAS, available);
    }
    world.happen(&Happening::Repoint(1));
    world.happen(&Happening::DeleteWorkload(0));

    let broken = world.reconcile(&[Ok(hold(0))]);

    assert_eq!(broken, Vec::<String>::new());
}
