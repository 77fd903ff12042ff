//! The whole controller against the embedded cluster, in one thread and in virtual time, with faults and user actions by seed.
//! The same seed runs the same scenario, to the byte of its log.
//!
//! - [`scenario`]: the Rollout, the faults and the number of user actions that a seed stands for;
//! - [`analyses`]: the analyses of a scenario;
//! - [`blue_green`]: the blue-green strategy of a scenario;
//! - [`hazards`]: what a seed adds: a second Rollout on the route, analyses that never decide, users who scale;
//! - [`user_actions`]: what users do;
//! - [`faults`]: faults in the controller's requests and watches;
//! - [`cluster`], [`sink`] and [`metrics_server`]: what the controller talks to;
//! - [`process`]: one process of the controller;
//! - [`checker`]: observes every change and checks the invariants;
//! - [`runner`]: runs the scenario of a seed;
//! - [`harness`]: a cluster without faults, for tests;
//! - [`single_update`], [`fleet`] and [`inconclusive`]: scenarios without faults, of which the first two show what an update costs;
//! - [`objects`], [`fields`], [`log`] and [`plugins`]: what several of these use;
//! - [`excluded_time`]: measures time that is not the controller's.

pub mod analyses;
pub mod blue_green;
pub mod checker;
pub mod cluster;
pub mod excluded_time;
pub mod faults;
pub mod fields;
pub mod fleet;
pub mod harness;
pub mod hazards;
pub mod inconclusive;
pub mod log;
pub mod metrics_server;
pub mod objects;
pub mod plugins;
pub mod process;
pub mod runner;
pub mod scenario;
pub mod single_update;
pub mod sink;
pub mod user_actions;
