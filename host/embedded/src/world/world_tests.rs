//! Whole scenarios on a virtual clock.

mod fixtures;
mod pods;
mod routes;
mod traffic;
