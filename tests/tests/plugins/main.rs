//! Plugins that an admin brings, on a real control plane.

mod steps;
