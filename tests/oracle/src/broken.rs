//! The rules that a write can break, with a message for each.

use std::fmt;

use crate::{Selected, Weights};

/// One of the two Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Stable,
    Canary,
}

/// A safety rule that a write breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The weights of a rule do not add up to the maximum.
    Weights { weights: Weights, max_weight: u32 },
    /// A Service or revision gets a share of the traffic that its pods cannot serve.
    TooFewPods { given_to: Selected, share: u32, max_weight: u32, available: u32, needed: u32 },
    /// Requests are matched to pods of which none is available.
    MatchedToNobody { given_to: Selected },
    /// A revision that serves is scaled below what its share needs.
    ScaledBelowShare { of: Selected, from: u32, to: u32, needed: u32 },
    /// Without a router, a Service is pointed at a revision without an available pod.
    SelectsNobody { hash: String, side: Side },
    /// A revision is scaled to zero while EndpointSlices of a Service that may get requests list its pods.
    ListedPodsGo { hash: String, side: Side },
    /// Without traffic routing, a scale-down deletes available pods that must stay.
    TooFewAvailable { hash: String, from: u32, to: u32, left: u32, floor: u32 },
    /// The canary of an aborted update gets more of the traffic.
    RaisedAfterAbort { from: u32, to: u32 },
    /// A rule sends requests to the canary of an aborted update that it did not send there before.
    MatchedAfterAbort,
    /// Stable is scaled down while the update is aborted.
    ShrunkAfterAbort { from: u32, to: u32 },
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stable => "the stable Service",
            Self::Canary => "the canary Service",
        })
    }
}

impl fmt::Display for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("a Service that does not exist"),
            Self::All => f.write_str("all pods of the rollout"),
            Self::Revision(hash) => write!(f, "revision {hash}"),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weights { weights: Weights { stable, canary }, max_weight } => {
                write!(f, "weights {stable} (stable) and {canary} (canary) do not add up to {max_weight}")
            }
            Self::TooFewPods { given_to, share, max_weight, available, needed } => write!(
                f,
                "{given_to} gets {share} of {max_weight} parts of the traffic, which needs {needed} available pods, and has {available}"
            ),
            Self::MatchedToNobody { given_to } => {
                write!(f, "a rule sends requests to {given_to}, which has no available pod")
            }
            Self::MatchedAfterAbort => {
                f.write_str("the update is aborted, and a rule begins to send requests to the canary")
            }
            Self::ScaledBelowShare { of, from, to, needed } => {
                write!(f, "{of} goes from {from} to {to} pods, and its share of the traffic needs {needed}")
            }
            Self::SelectsNobody { hash, side } => {
                write!(f, "{side} is pointed at revision {hash}, which has no available pod")
            }
            Self::ListedPodsGo { hash, side } => {
                write!(
                    f,
                    "revision {hash} is scaled to zero while EndpointSlices of {side}, which may get requests, list its pods"
                )
            }
            Self::TooFewAvailable { hash, from, to, left, floor } => write!(
                f,
                "revision {hash} goes from {from} to {to} pods: {left} available pods are left in all, and {floor} must be"
            ),
            Self::RaisedAfterAbort { from, to } => {
                write!(f, "the update is aborted, and the canary's share rises from {from} to {to}")
            }
            Self::ShrunkAfterAbort { from, to } => {
                write!(f, "the update is aborted, and stable goes from {from} to {to} pods")
            }
        }
    }
}
