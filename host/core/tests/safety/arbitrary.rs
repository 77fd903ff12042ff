//! Arbitrary rollouts, clusters in the middle of anything, answers of a strategy, and happenings.

use jiff::Timestamp;
use kulta_api::{PauseCondition, PauseReason, Time};
use kulta_core::decision::{
    Decision, FailureClass, HeaderMatch, ManagedRoute, ManagedRouteKind, Mirror, Next, PauseCause, RouteMatch, Scale,
    StrategyFailure, TextMatch, Waiting,
};
use proptest::prelude::*;

use crate::happenings::{Fault, Happening, Side};
use crate::setup::{self, BlueGreen, Config, STEPS};
use crate::world::{Answer, World};
use serde_json::json;

/// The largest `spec.replicas`, and one more than a ReplicaSet has at most.
const MOST_PODS: u32 = 10;
/// Reconciliations until a first version is out: far more than it takes.
const UNTIL_DEPLOYED: usize = 12;

pub fn config() -> impl Strategy<Value = Config> {
    (canary(), prop::option::weighted(0.25, blue_green())).prop_map(|(canary, blue_green)| match blue_green {
        Some(_) => Config {
            blue_green,
            routed: false,
            router: false,
            dynamic_stable: false,
            max_weight: 100,
            max_surge: None,
            max_unavailable: None,
            min_pods: None,
            threshold: None,
            ..canary
        },
        None => canary,
    })
}

fn blue_green() -> impl Strategy<Value = BlueGreen> {
    (prop::bool::weighted(0.7), prop::option::weighted(0.4, 0..=MOST_PODS))
        .prop_map(|(preview, preview_pods)| BlueGreen { preview, preview_pods })
}

fn canary() -> impl Strategy<Value = Config> {
    let pods = (
        0..=MOST_PODS,
        prop_oneof![Just(None), (0_u32..4).prop_map(Some)],
        prop_oneof![Just(None), (0_u32..4).prop_map(Some)],
    );
    let routing =
        (prop::bool::weighted(0.7), prop::bool::weighted(0.4), prop_oneof![4 => Just(100_u32), 1 => Just(1_000)]);
    let delays = (prop::option::of(0_u32..30), prop::option::of(0_u32..30));
    let routes = prop::collection::vec(1_usize..=2, 1..=2);
    let more = (
        prop::option::weighted(0.2, 1_u32..3),
        prop::option::weighted(0.2, 40_u32..=100),
        prop::bool::weighted(0.7),
        prop::bool::weighted(0.5),
    );
    (pods, routing, delays, routes, more).prop_map(
        |(
            (replicas, max_surge, max_unavailable),
            (routed, dynamic_stable, max_weight),
            (abort_delay, delay),
            routes,
            (min_pods, threshold, router, managed),
        )| {
            // Both at zero is an invalid spec.
            let max_surge = if max_unavailable == Some(0) { max_surge.filter(|surge| *surge > 0) } else { max_surge };
            let max_weight = if routed && router { max_weight } else { 100 };
            Config {
                replicas,
                blue_green: None,
                routed,
                router,
                dynamic_stable: routed && dynamic_stable,
                max_weight,
                max_surge,
                max_unavailable,
                min_pods: min_pods.filter(|_| routed),
                threshold,
                abort_delay,
                delay,
                routes,
                managed: if managed && routed && router { setup::MANAGED } else { &[] },
            }
        },
    )
}

fn scale() -> impl Strategy<Value = Scale> {
    prop_oneof![
        4 => Just(Scale::FollowWeight),
        1 => (0_u32..=100).prop_map(Scale::Weight),
        1 => (0..=MOST_PODS + 2).prop_map(Scale::Replicas),
    ]
}

/// Managed routes, of those that the spec may name.
fn managed_routes() -> impl Strategy<Value = Vec<ManagedRoute>> {
    let header = HeaderMatch { name: "team".to_owned(), value: TextMatch::Exact("qa".to_owned()) };
    let beta = ManagedRoute { name: "beta".to_owned(), kind: ManagedRouteKind::Headers(vec![header]) };
    let mirror = |percentage| Mirror { percentage: Some(percentage), matches: vec![RouteMatch::default()] };
    let copy =
        move |percentage| ManagedRoute { name: "copy".to_owned(), kind: ManagedRouteKind::Mirror(mirror(percentage)) };
    let each = (prop::option::of(Just(beta)), prop::option::of((0_u32..=100).prop_map(copy)));
    let some = each.prop_map(|(beta, copy)| beta.into_iter().chain(copy).collect());
    prop_oneof![2 => Just(Vec::new()), 1 => some]
}

fn next() -> impl Strategy<Value = Next> {
    prop_oneof![
        6 => Just(Next::Hold(Waiting::Pods)),
        1 => Just(Next::Hold(Waiting::Runs)),
        2 => Just(Next::Pause { cause: PauseCause::Step, until: None }),
        1 => Just(Next::Pause { cause: PauseCause::Analysis, until: None }),
        1 => Just(Next::Promote),
        1 => Just(Next::Abort { kind: kulta_api::FailureKind::Analysis, reason: "too many errors".to_owned() }),
    ]
}

/// The step is counted from the one that is asked about.
pub fn answer() -> impl Strategy<Value = Answer> {
    // Blue-green switches only at the maximum.
    let weight = prop_oneof![3 => 0_u32..=120, 1 => Just(100)];
    let decision = (prop::bool::weighted(0.2), weight, scale(), managed_routes(), next()).prop_map(
        |(passes, weight, canary, routes, next)| {
            Ok(Decision {
                step: u32::from(passes),
                steps: STEPS,
                memory: Vec::new(),
                weight,
                canary,
                runs: Vec::new(),
                routes,
                next,
                reason: "arbitrary".to_owned(),
            })
        },
    );
    let failure = prop_oneof![Just(FailureClass::Trapped), Just(FailureClass::BadAnswer), Just(FailureClass::Refused)]
        .prop_map(|class| Err(StrategyFailure { class, message: "fails".to_owned() }));
    prop_oneof![8 => decision, 1 => failure]
}

pub fn answers() -> impl Strategy<Value = Vec<Answer>> {
    prop::collection::vec(answer(), 1..3)
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Stable), Just(Side::Canary)]
}

/// Broken in a way that leaves open where the traffic is to go.
pub fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Analyzer),
        Just(Fault::StepPlugin),
        Just(Fault::StrategyConfig),
        Just(Fault::StrategyTraps),
        Just(Fault::InvalidSpec),
    ]
}

pub fn happening() -> impl Strategy<Value = Happening> {
    let users = prop_oneof![
        2 => (0..=MOST_PODS).prop_map(Happening::Scale),
        2 => Just(Happening::Abort),
        1 => Just(Happening::Retry),
        2 => Just(Happening::Promote),
        1 => Just(Happening::PromoteFull),
        2 => (1_u32..6).prop_map(Happening::Version),
        1 => any::<bool>().prop_map(Happening::Pause),
        1 => fault().prop_map(Happening::Break),
        1 => Just(Happening::MendFaults),
    ];
    let rough = prop_oneof![
        1 => (0_usize..3).prop_map(Happening::DeleteWorkload),
        2 => (0_usize..2, 0_usize..2, 0_u32..=100)
            .prop_map(|(route, rule, canary)| Happening::MoveWeights { route, rule, canary }),
        1 => side().prop_map(Happening::TakeService),
        1 => (0_usize..3).prop_map(Happening::Repoint),
        1 => (0_usize..2).prop_map(Happening::TakeRoute),
        2 => Just(Happening::GiveBack),
        3 => (0_usize..3, 0..MOST_PODS).prop_map(|(set, available)| Happening::LosePods { set, available }),
        1 => (1_u32..6).prop_map(Happening::BadImage),
    ];
    let cluster = prop_oneof![
        3 => Just(Happening::PodsStart),
        2 => Just(Happening::EndpointsFollow),
        3 => Just(Happening::GatewayTakes),
        2 => (1_i64..90).prop_map(Happening::TimePasses),
    ];
    prop_oneof![4 => users, 2 => rough, 5 => cluster]
}

/// What happens before a reconciliation, and what the strategy answers in it.
pub fn turns(most: usize) -> impl Strategy<Value = Vec<(Vec<Happening>, Vec<Answer>)>> {
    prop::collection::vec((prop::collection::vec(happening(), 0..3), answers()), 1..=most)
}

/// Pods of one ReplicaSet.
#[derive(Clone, Copy, Debug)]
pub struct Pods {
    wanted: u32,
    created: u32,
    available: u32,
}

fn pods() -> impl Strategy<Value = Pods> {
    (0..=MOST_PODS, 0_u32..=100, 0_u32..=100).prop_map(|(wanted, created, available)| {
        let created = wanted * created.min(80).div_ceil(8) / 10;
        Pods { wanted, created, available: created * available.min(80).div_ceil(8) / 10 }
    })
}

#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// Nothing is there but the Rollout.
    Fresh,
    /// A second version is on its way.
    Updating,
    /// A third version has superseded the second one.
    Superseding,
    /// The newest version has become stable a moment ago.
    Promoted,
}

/// A cluster in the middle of anything.
#[derive(Clone, Debug)]
pub struct Start {
    pub config: Config,
    stage: Stage,
    /// Of each ReplicaSet, oldest first.
    pods: Vec<Pods>,
    /// Somebody has deleted the oldest ReplicaSet, which is the stable one's during an update.
    stable_gone: bool,
    /// The ReplicaSet that the canary Service, or the active Service of blue-green, selects; beyond the last one it is as the controller left it.
    canary_service: usize,
    /// The canary's weight in each rule.
    weights: Vec<u32>,
    /// EndpointSlices have followed the Services.
    listed: bool,
    /// The gateway has taken the routes.
    taken: bool,
    step: i32,
    paused: bool,
    aborted: bool,
}

pub fn start() -> impl Strategy<Value = Start> {
    let stage = prop_oneof![1 => Just(Stage::Fresh), 5 => Just(Stage::Updating), 2 => Just(Stage::Superseding), 2 => Just(Stage::Promoted)];
    let canary_service = prop_oneof![4 => Just(usize::MAX), 4 => Just(1), 2 => 0_usize..3];
    let weights = prop_oneof![
        3 => (0_u32..=100).prop_map(|weight| vec![weight; 4]),
        1 => prop::collection::vec(0_u32..=100, 4),
    ];
    let flags = (
        any::<bool>(),
        any::<bool>(),
        0..i32::try_from(STEPS).unwrap(),
        any::<bool>(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.1),
    );
    (config(), stage, prop::collection::vec(pods(), 3), canary_service, weights, flags).prop_map(
        |(config, stage, pods, canary_service, weights, (listed, taken, step, paused, aborted, stable_gone))| Start {
            config,
            stage,
            pods,
            canary_service,
            weights,
            listed,
            taken,
            step,
            paused,
            aborted,
            stable_gone,
        },
    )
}

impl World {
    /// Everything that can differ is made to differ from what the controller has made.
    pub fn at(start: &Start) -> Self {
        let mut world = match start.stage {
            Stage::Fresh => return Self::new(start.config.clone()),
            Stage::Updating | Stage::Promoted => Self::updating(start.config.clone(), 2),
            Stage::Superseding => Self::updating(start.config.clone(), 3),
        };
        world.differ(start);
        world.began = world.log.len();
        world.log.push(format!("begins with {:?}, {:?}", crate::view::cluster(&world), world.status()));
        world
    }

    /// The first version is out, and this one is on its way, after those between; the controller itself has made all that there is.
    pub fn updating(config: Config, version: u32) -> Self {
        let mut world = Self::new(config);
        let hold = [Ok(hold(0))];
        for _ in 0..UNTIL_DEPLOYED {
            world.reconcile(&hold);
            world.settle();
        }
        assert!(!world.status().stable_rs.is_empty(), "the first version is not out: {:#?}", world.log);
        for version in 2..=version {
            world.change_spec(&json!({ "template": setup::template(version) }));
            world.reconcile(&hold);
        }
        world
    }

    fn differ(&mut self, start: &Start) {
        for (found, pods) in self.revisions().zip(&start.pods) {
            found.replicas = pods.wanted;
            found.created_replicas = pods.created;
            found.ready_replicas = pods.available;
            found.available_replicas = pods.available;
        }
        let sets = self.observed.revisions.len();
        if start.canary_service < sets {
            self.repoint(start.canary_service);
        }
        let max_weight = self.config.max_weight;
        for (index, percent) in start.weights.iter().enumerate() {
            self.move_weights(index / 2, index % 2, percent * max_weight / 100);
        }
        if start.listed {
            self.endpoints_follow();
        }
        if start.taken {
            self.gateway_takes();
        }
        if start.stable_gone {
            self.observed.revisions.remove(0);
        }
        let now = self.now;
        let status = self.status_mut();
        status.current_step_index = Some(start.step);
        if start.paused {
            status.pause_conditions = vec![pause(now)];
            status.controller_pause = true;
        }
        status.abort = start.aborted;
        if matches!(start.stage, Stage::Promoted) {
            status.stable_rs = status.current_pod_hash.clone();
        }
    }
}

fn pause(at: Timestamp) -> PauseCondition {
    PauseCondition { reason: PauseReason::CanaryPauseStep, start_time: Time(at) }
}

/// A strategy that waits at this weight.
pub fn hold(weight: u32) -> Decision {
    Decision {
        step: 0,
        steps: STEPS,
        memory: Vec::new(),
        weight,
        canary: Scale::FollowWeight,
        runs: Vec::new(),
        routes: Vec::new(),
        next: Next::Hold(Waiting::Pods),
        reason: "waits".to_owned(),
    }
}
