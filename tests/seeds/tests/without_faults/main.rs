//! Whole rollouts and analyses without faults.

#[cfg(test)]
mod jobs;
#[cfg(test)]
mod sidecar;
