//! Whole rollouts and analyses in which nothing goes wrong, each for one thing that the controller does.

#[cfg(test)]
mod jobs;
#[cfg(test)]
mod sidecar;
