//! The Helm chart, and the plain manifests that are generated from it.

mod cases;
mod certificates;
mod expected;
mod files;
mod manifests;
mod rejected;
mod release;
mod rendered;
mod roles;
