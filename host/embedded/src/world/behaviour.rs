//! The behaviour of pods: by image, overridden by labels.
//!
//! | label | effect |
//! |---|---|
//! | `kulta.test/ready: never` | runs and is not ready; set or removed on a living pod, it turns not ready or ready |
//! | `kulta.test/ready-after: 3s` | ready after that time |
//! | `kulta.test/crash-after: 2s` | ready at first, then in a crash loop |
//! | `kulta.test/gone-after: 5s` | stays this long after its deletion |
//! | `kulta.test/error-ratio: "0.05"` | answers this share of its requests with 500 |
//! | `kulta.test/latency: 300ms` | half of its answers take longer |

use std::{collections::BTreeMap, time::Duration};

use jiff::SignedDuration;
use serde_json::Value;

use crate::metrics::traffic::{Latency, Profile};

pub const PREFIX: &str = "kulta.test/";
/// Sigma of a latency with a configured median only.
const SIGMA: f64 = 0.5;

#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    pub ready: Readiness,
    /// Time from readiness to the crash loop.
    pub crash_after: Option<Duration>,
    /// Time from the deletion of a pod to its removal.
    pub gone_after: Duration,
    pub profile: Profile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    After(Duration),
    Never,
}

impl Default for Behaviour {
    /// Ready at once, removed after two seconds, 20 ms latency and no errors.
    fn default() -> Self {
        Self {
            ready: Readiness::After(Duration::ZERO),
            crash_after: None,
            gone_after: Duration::from_secs(2),
            profile: Profile { error_ratio: 0.0, latency: Latency::LogNormal { median: 0.02, sigma: SIGMA } },
        }
    }
}

/// Behaviours by image.
#[derive(Debug, Clone, Default)]
pub struct Behaviours {
    pub usual: Behaviour,
    /// By the image of the first container, as it is written.
    pub images: BTreeMap<String, Behaviour>,
}

impl Behaviours {
    pub fn of(&self, pod: &Value) -> Behaviour {
        let image = pod.pointer("/spec/containers/0/image").and_then(Value::as_str).unwrap_or_default();
        let mut behaviour = self.images.get(image).unwrap_or(&self.usual).clone();
        let labels = pod.pointer("/metadata/labels").and_then(Value::as_object);
        for (name, value) in labels.into_iter().flatten() {
            let (Some(name), Some(value)) = (name.strip_prefix(PREFIX), value.as_str()) else { continue };
            if steer(&mut behaviour, name, value).is_none() {
                tracing::warn!("the label {PREFIX}{name}={value} is not understood");
            }
        }
        behaviour
    }
}

/// `None` for an invalid value.
fn steer(behaviour: &mut Behaviour, name: &str, value: &str) -> Option<()> {
    match name {
        "ready" if value == "never" => behaviour.ready = Readiness::Never,
        "ready-after" => {
            let after = duration(value)?;
            if behaviour.ready != Readiness::Never {
                behaviour.ready = Readiness::After(after);
            }
        }
        "crash-after" => behaviour.crash_after = Some(duration(value)?),
        "gone-after" => behaviour.gone_after = duration(value)?,
        "error-ratio" => {
            behaviour.profile.error_ratio = value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))?;
        }
        "latency" => {
            behaviour.profile.latency = Latency::LogNormal { median: duration(value)?.as_secs_f64(), sigma: SIGMA };
        }
        _ => {}
    }
    Some(())
}

fn duration(text: &str) -> Option<Duration> {
    let read: SignedDuration = text.parse().ok()?;
    Duration::try_from(read).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(labels: Value) -> Value {
        json!({"metadata": {"labels": labels}, "spec": {"containers": [{"image": "app:slow"}]}})
    }

    #[test]
    fn the_image_chooses() {
        let slow = Behaviour { ready: Readiness::After(Duration::from_secs(30)), ..Behaviour::default() };
        let behaviours = Behaviours { images: [("app:slow".to_owned(), slow.clone())].into(), ..Behaviours::default() };

        assert_eq!(behaviours.of(&pod(json!({}))), slow);
    }

    #[test]
    fn labels_choose_otherwise() {
        let labels = json!({
            "kulta.test/ready-after": "1m30s", "kulta.test/crash-after": "500ms", "kulta.test/gone-after": "5s",
            "kulta.test/error-ratio": "0.25", "kulta.test/latency": "300ms", "app": "a",
        });

        let found = Behaviours::default().of(&pod(labels));

        assert_eq!(
            found,
            Behaviour {
                ready: Readiness::After(Duration::from_secs(90)),
                crash_after: Some(Duration::from_millis(500)),
                gone_after: Duration::from_secs(5),
                profile: Profile { error_ratio: 0.25, latency: Latency::LogNormal { median: 0.3, sigma: SIGMA } },
            }
        );
    }

    #[test]
    fn never_takes_precedence_over_a_time() {
        let labels = json!({"kulta.test/ready": "never", "kulta.test/ready-after": "1s"});

        assert_eq!(Behaviours::default().of(&pod(labels)).ready, Readiness::Never);
    }

    #[test]
    fn an_invalid_value_changes_nothing() {
        let labels = json!({"kulta.test/ready-after": "soon", "kulta.test/error-ratio": "2"});

        assert_eq!(Behaviours::default().of(&pod(labels)), Behaviour::default());
    }
}
