//! The whole controller against the embedded cluster in one thread and in virtual time, with faults and people's doings by seed.
//! The same seed tells the same story, to the byte.
//!
//! - [`scenario`]: what a seed makes of the rollout, and what people do to it;
//! - [`hazards`]: what a seed adds to it: a second rollout on the route, analyses that never decide, users who scale;
//! - [`faults`]: what goes wrong between the controller and the API server;
//! - [`incarnation`]: one life of the controller's process;
//! - [`sink`]: where its events go;
//! - [`judging`] and [`gauge`]: its analyses, and where their metrics come from;
//! - [`witness`]: sees every change and holds it against the design's invariants;
//! - [`runs`]: the same for the analyses;
//! - [`calm`]: a cluster without faults and what is counted there, for the stories that follow and for tests of their own;
//! - [`plain`]: one story without any of it, to see what a story costs;
//! - [`objects`]: rollouts of a test's own, with their routes and Services;
//! - [`fleet`]: many rollouts that are upgraded at once, to see what an upgrade costs the controller;
//! - [`beside`]: measures what is not the controller's;
//! - [`unsure`]: one story of an analysis without an opinion, and of a user who promotes past it;
//! - [`story`]: puts them together, and says how it has to end.

pub mod beside;
pub mod calm;
pub mod cluster;
pub mod faults;
pub mod fleet;
pub mod gauge;
pub mod hazards;
pub mod incarnation;
pub mod judging;
pub mod objects;
pub mod people;
pub mod plain;
pub mod runs;
pub mod scenario;
pub mod sink;
pub mod story;
pub mod unsure;
pub mod witness;
