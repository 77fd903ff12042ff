//! The behaviour of a pod, from its current labels: a patch of the pod changes it between two requests.
//!
//! | label | effect |
//! |---|---|
//! | none | 200 at once |
//! | `kulta.test/errors: "5"` | that percentage of requests is answered with 500, evenly spread |
//! | `kulta.test/delay-ms: "250"` | every answer is delayed by this time |

use std::{collections::BTreeMap, time::Duration};

pub const ERRORS: &str = "kulta.test/errors";
pub const DELAY: &str = "kulta.test/delay-ms";

const HUNDRED: u64 = 100;

/// The default is a healthy pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Of a hundred requests.
    errors: u64,
    pub delay: Duration,
}

impl Behaviour {
    /// An invalid number counts as 0.
    pub fn of(labels: &BTreeMap<String, String>) -> Self {
        let number = |key: &str| labels.get(key).and_then(|value| value.parse::<u64>().ok()).unwrap_or_default();
        Self { errors: number(ERRORS).min(HUNDRED), delay: Duration::from_millis(number(DELAY)) }
    }

    /// True if the pod's request with this number, counted from 0, gets an error.
    pub fn fails(self, number: u64) -> bool {
        let failed = |requests: u64| requests * self.errors / HUNDRED;
        failed(number + 1) > failed(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behaviour(labels: &[(&str, &str)]) -> Behaviour {
        Behaviour::of(&labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn the_number_of_errors_follows_the_label() {
        for percent in [0, 1, 5, 50, 100] {
            let behaviour = behaviour(&[(ERRORS, &percent.to_string())]);
            let failed = (0..1000).filter(|number| behaviour.fails(*number)).count();
            assert_eq!(failed, percent * 10);
        }
    }

    #[test]
    fn a_pod_without_labels_is_healthy() {
        assert_eq!(behaviour(&[("app", "web"), (ERRORS, "many")]), Behaviour::default());
    }
}
