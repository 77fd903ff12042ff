//! How a pod answers, as its labels say at this moment: a patch of the pod changes it between two requests.
//!
//! | label | effect |
//! |---|---|
//! | none | 200 at once |
//! | `kulta.test/errors: "5"` | that many requests of a hundred are answered 500, evenly spread |
//! | `kulta.test/delay-ms: "250"` | every answer comes that much later |

use std::{collections::BTreeMap, time::Duration};

pub const ERRORS: &str = "kulta.test/errors";
pub const DELAY: &str = "kulta.test/delay-ms";

const HUNDRED: u64 = 100;

/// The default is a pod that is well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Of a hundred requests.
    errors: u64,
    pub delay: Duration,
}

impl Behaviour {
    /// What is no number counts as 0.
    pub fn of(labels: &BTreeMap<String, String>) -> Self {
        let number = |key: &str| labels.get(key).and_then(|value| value.parse::<u64>().ok()).unwrap_or_default();
        Self { errors: number(ERRORS).min(HUNDRED), delay: Duration::from_millis(number(DELAY)) }
    }

    /// Whether a pod's request of this number, counted from 0, is answered with an error.
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
    fn errors_are_as_many_as_the_label_says() {
        for percent in [0, 1, 5, 50, 100] {
            let behaviour = behaviour(&[(ERRORS, &percent.to_string())]);
            let failed = (0..1000).filter(|number| behaviour.fails(*number)).count();
            assert_eq!(failed, percent * 10);
        }
    }

    #[test]
    fn a_pod_without_labels_is_well() {
        assert_eq!(behaviour(&[("app", "web"), (ERRORS, "many")]), Behaviour::default());
    }
}
