//! A snapshot of the demo, for both the picture and the plain lines.

use std::time::Duration;

use kulta_embedded::metrics::traffic::Tally;

use super::observe::Observation;
use super::sink::Event;
use super::speed::Speed;
use super::traffic::Traffic;

pub struct Frame<'a> {
    /// Since the demo's start.
    pub at: Duration,
    pub speed: Speed,
    pub title: &'a str,
    /// User actions of the demo, oldest first.
    pub actions: &'a [String],
    pub seen: &'a Observation,
    pub traffic: &'a Traffic,
    /// CDEvents, oldest first.
    pub events: &'a [Event],
    pub requests: Tally,
    /// Number of the controller's writes: objects, and Kubernetes events separately.
    pub writes: u64,
    pub kube_events: u64,
}

/// 1234567 as `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len().saturating_mul(2));
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len().saturating_sub(index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share from 0 to 1 as `4.8 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
pub mod fixtures {
    use std::collections::BTreeMap;

    use kulta_api::{DecisionEntry, RolloutPhase, Time};

    use super::*;
    use crate::demo::observe::{ObservedRollout, Revision, Role, Weights};
    use crate::demo::traffic::Measured;

    /// The values that a frame borrows.
    pub struct Stage {
        pub title: &'static str,
        pub actions: Vec<String>,
        pub seen: Observation,
        pub traffic: Traffic,
        pub events: Vec<Event>,
        pub requests: Tally,
    }

    impl Stage {
        pub fn frame(&self) -> Frame<'_> {
            Frame {
                at: Duration::from_millis(23_400),
                speed: "1".parse().unwrap(),
                title: self.title,
                actions: &self.actions,
                seen: &self.seen,
                traffic: &self.traffic,
                events: &self.events,
                requests: self.requests,
                writes: 31,
                kube_events: 12,
            }
        }
    }

    pub fn empty() -> Stage {
        Stage {
            title: "starting",
            actions: Vec::new(),
            seen: Observation::default(),
            traffic: Traffic::default(),
            events: Vec::new(),
            requests: Tally::default(),
        }
    }

    fn decision(step: u32, weight: u32, reason: &str) -> DecisionEntry {
        DecisionEntry { time: Time(jiff::Timestamp::UNIX_EPOCH), step, weight, reason: reason.into() }
    }

    pub fn event(name: &str, summary: &str) -> Event {
        Event { name: name.into(), summary: summary.into() }
    }

    fn revision(number: u64, version: &str, role: Role, wanted: u64, ready: u64) -> Revision {
        Revision { number, version: version.into(), role, wanted, pods: wanted, ready }
    }

    fn observed_rollout(version: &str, phase: RolloutPhase, step: usize, message: &str) -> ObservedRollout {
        ObservedRollout {
            phase: Some(phase),
            message: message.into(),
            steps: ["weight 10 %", "pause 7 s", "weight 50 %", "pause 7 s"].map(str::to_owned).into(),
            step,
            up_to_date: true,
            version: version.into(),
            ..ObservedRollout::default()
        }
    }

    fn measured(rate: f64, errors: f64, p95: f64) -> Measured {
        Measured { rate, errors: Some(errors), p95: Some(p95) }
    }

    /// Half of the requests go to a good version.
    pub fn half() -> Stage {
        let mut traffic = Traffic::default();
        for share in [0.1, 0.1, 0.1, 0.3, 0.5, 0.5] {
            traffic.add(BTreeMap::from([
                ("v1".to_owned(), measured(500.0 * (1.0 - share), 0.0, 0.045)),
                ("v2".to_owned(), measured(500.0 * share, 0.0, 0.046)),
            ]));
        }
        Stage {
            title: "2/4  a good version, v2: 10 %, 50 %, then all requests",
            actions: vec!["a user deploys v1".into(), "a user deploys v2".into()],
            seen: Observation {
                rollout: Some(ObservedRollout {
                    decisions: vec![
                        decision(0, 10, "step 1/4: moving the weight to 10 %"),
                        decision(3, 50, "step 4/4: paused for 7 s at 50 %"),
                    ],
                    ..observed_rollout("v2", RolloutPhase::Paused, 3, "CanaryPauseStep")
                }),
                weights: Weights { stable: 50, canary: 50 },
                revisions: vec![revision(1, "v1", Role::Stable, 4, 4), revision(2, "v2", Role::Canary, 2, 2)],
            },
            traffic,
            events: vec![
                event("kulta-rollout.started", "v2"),
                event("kulta-rollout.progressed", "v2, step 1/4, weight 10 %"),
            ],
            requests: Tally { succeeded: 8_123, failed: 0, unserved: 0 },
        }
    }

    /// A tenth of the requests goes to a bad version.
    pub fn bad() -> Stage {
        let mut traffic = Traffic::default();
        for errors in [0.0, 0.02, 0.05, 0.063] {
            traffic.add(BTreeMap::from([
                ("v2".to_owned(), measured(450.0, 0.0, 0.045)),
                ("v3".to_owned(), measured(50.0, errors, 0.58)),
            ]));
        }
        Stage {
            title: "3/4  a bad version, v3: slow, and some answers are errors",
            actions: vec!["a user deploys v3".into()],
            seen: Observation {
                rollout: Some(ObservedRollout {
                    decisions: vec![decision(1, 10, "step 2/4: paused for 7 s at 10 %")],
                    ..observed_rollout("v3", RolloutPhase::Paused, 1, "CanaryPauseStep")
                }),
                weights: Weights { stable: 90, canary: 10 },
                revisions: vec![revision(2, "v2", Role::Stable, 4, 4), revision(3, "v3", Role::Canary, 2, 1)],
            },
            traffic,
            events: vec![
                event("kulta-rollout.started", "v3"),
                event("kulta-rollout.progressed", "v3, step 1/4, weight 10 %"),
                event("kulta-rollout.paused", "v3, step 2, weight 10 %"),
            ],
            requests: Tally { succeeded: 15_402, failed: 11, unserved: 0 },
        }
    }

    /// The bad version has been rolled back.
    pub fn back() -> Stage {
        let mut stage = bad();
        stage.title = "4/4  back to v2";
        stage.actions.push("KULTA rolls v3 back: error rate 6.3 % is not < 3 %".into());
        stage.traffic.add(BTreeMap::from([("v2".to_owned(), measured(500.0, 0.0, 0.045))]));
        let aborted = "RolloutAborted: Rollout aborted update to revision 3";
        stage.seen = Observation {
            rollout: Some(ObservedRollout {
                aborted: true,
                ..observed_rollout("v3", RolloutPhase::Degraded, 0, aborted)
            }),
            weights: Weights { stable: 100, canary: 0 },
            revisions: vec![revision(2, "v2", Role::Stable, 4, 4)],
        };
        stage.events.push(event("service.rolledback", "v2"));
        stage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_share_is_shown_with_one_decimal() {
        assert_eq!(percent(0.0484), "4.8 %");
    }
}
