//! Whole reconciliations with arbitrary clusters, decisions and user actions, judged by the safety rules of the design.

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod happenings;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod view;
#[cfg(test)]
mod world;
