//! `kulta plugin` as an author types it: the binary of this build, in folders of its own.

mod errors;
mod languages;
mod list;
mod rust;
mod support;
mod tutorial;
