//! One moment of the demo, as both the picture and the plain lines show it.

use std::time::Duration;

use kulta_embedded::metrics::traffic::Tally;

use super::observe::Seen;
use super::sink::Event;
use super::speed::Speed;
use super::traffic::Traffic;

pub struct Frame<'a> {
    /// Since the demo's start.
    pub at: Duration,
    pub speed: Speed,
    pub title: &'a str,
    /// What the demo has done in a person's place, oldest first.
    pub doings: &'a [String],
    pub seen: &'a Seen,
    pub traffic: &'a Traffic,
    /// CDEvents, oldest first.
    pub events: &'a [Event],
    pub requests: Tally,
    /// What the controller has written: objects, and Kubernetes events beside them.
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
    use crate::demo::observe::{Revision, Role, Seeable, Weights};
    use crate::demo::traffic::Measured;

    /// What a frame borrows.
    pub struct Scene {
        pub title: &'static str,
        pub doings: Vec<String>,
        pub seen: Seen,
        pub traffic: Traffic,
        pub events: Vec<Event>,
        pub requests: Tally,
    }

    impl Scene {
        pub fn frame(&self) -> Frame<'_> {
            Frame {
                at: Duration::from_millis(23_400),
                speed: "1".parse().unwrap(),
                title: self.title,
                doings: &self.doings,
                seen: &self.seen,
                traffic: &self.traffic,
                events: &self.events,
                requests: self.requests,
                writes: 31,
                kube_events: 12,
            }
        }
    }

    pub fn empty() -> Scene {
        Scene {
            title: "starting",
            doings: Vec::new(),
            seen: Seen::default(),
            traffic: Traffic::default(),
            events: Vec::new(),
            requests: Tally::default(),
        }
    }

    fn decision(step: u32, weight: u32, reason: &str) -> DecisionEntry {
        DecisionEntry { time: Time(jiff::Timestamp::UNIX_EPOCH), step, weight, reason: reason.into() }
    }

    pub fn event(name: &str, words: &str) -> Event {
        Event { name: name.into(), words: words.into() }
    }

    fn revision(number: u64, version: &str, role: Role, wanted: u64, ready: u64) -> Revision {
        Revision { number, version: version.into(), role, wanted, pods: wanted, ready }
    }

    fn seeable(version: &str, phase: RolloutPhase, step: usize, message: &str) -> Seeable {
        Seeable {
            phase: Some(phase),
            message: message.into(),
            steps: ["weight 10 %", "pause 7 s", "weight 50 %", "pause 7 s"].map(str::to_owned).into(),
            step,
            up_to_date: true,
            version: version.into(),
            ..Seeable::default()
        }
    }

    fn measured(rate: f64, errors: f64, p95: f64) -> Measured {
        Measured { rate, errors: Some(errors), p95: Some(p95) }
    }

    /// Half of the requests go to a good version.
    pub fn half() -> Scene {
        let mut traffic = Traffic::default();
        for share in [0.1, 0.1, 0.1, 0.3, 0.5, 0.5] {
            traffic.add(BTreeMap::from([
                ("v1".to_owned(), measured(500.0 * (1.0 - share), 0.0, 0.045)),
                ("v2".to_owned(), measured(500.0 * share, 0.0, 0.046)),
            ]));
        }
        Scene {
            title: "2/4  a good version, v2: 10 %, 50 %, then all requests",
            doings: vec!["a person deploys v1".into(), "a person deploys v2".into()],
            seen: Seen {
                rollout: Some(Seeable {
                    decisions: vec![
                        decision(0, 10, "step 1/4: moving the weight to 10 %"),
                        decision(3, 50, "step 4/4: paused for 7 s at 50 %"),
                    ],
                    ..seeable("v2", RolloutPhase::Paused, 3, "CanaryPauseStep")
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
    pub fn bad() -> Scene {
        let mut traffic = Traffic::default();
        for errors in [0.0, 0.02, 0.05, 0.063] {
            traffic.add(BTreeMap::from([
                ("v2".to_owned(), measured(450.0, 0.0, 0.045)),
                ("v3".to_owned(), measured(50.0, errors, 0.58)),
            ]));
        }
        Scene {
            title: "3/4  a bad version, v3: slow, and some answers are errors",
            doings: vec!["a person deploys v3".into()],
            seen: Seen {
                rollout: Some(Seeable {
                    decisions: vec![decision(1, 10, "step 2/4: paused for 7 s at 10 %")],
                    ..seeable("v3", RolloutPhase::Paused, 1, "CanaryPauseStep")
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

    /// The bad version is gone.
    pub fn back() -> Scene {
        let mut scene = bad();
        scene.title = "4/4  back to v2";
        scene.doings.push("KULTA takes v3 back: error rate 6.3 % is not < 3 %".into());
        scene.traffic.add(BTreeMap::from([("v2".to_owned(), measured(500.0, 0.0, 0.045))]));
        let aborted = "RolloutAborted: Rollout aborted update to revision 3";
        scene.seen = Seen {
            rollout: Some(Seeable { aborted: true, ..seeable("v3", RolloutPhase::Degraded, 0, aborted) }),
            weights: Weights { stable: 100, canary: 0 },
            revisions: vec![revision(2, "v2", Role::Stable, 4, 4)],
        };
        scene.events.push(event("service.rolledback", "v2"));
        scene
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
    fn a_share_is_told_to_a_tenth_of_a_percent() {
        assert_eq!(percent(0.0484), "4.8 %");
    }
}
