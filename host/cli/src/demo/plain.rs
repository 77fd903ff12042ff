//! The demo as lines: one for each transition, for logs and pipes.

use super::frame::{Frame, percent};
use super::observe::{Role, Weights};

/// The values that were last printed.
#[derive(Debug, Default)]
pub struct Plain {
    title: String,
    actions: usize,
    phase: String,
    step: Option<String>,
    weights: Weights,
    reason: String,
    events: usize,
    errors_of: Option<String>,
}

impl Plain {
    /// Lines for the changes since the previous frame, without line ends.
    #[must_use]
    pub fn lines(&mut self, frame: &Frame<'_>) -> Vec<String> {
        let mut news: Vec<(&str, String)> = Vec::new();
        if self.title != frame.title {
            frame.title.clone_into(&mut self.title);
            news.push(("title", frame.title.to_owned()));
        }
        news.extend(frame.actions.iter().skip(self.actions).map(|action| ("action", action.clone())));
        self.actions = frame.actions.len();
        self.rollout(frame, &mut news);
        self.errors(frame, &mut news);
        news.extend(frame.events.iter().skip(self.events).map(|event| {
            let summary = if event.summary.is_empty() { String::new() } else { format!(" ({})", event.summary) };
            ("event", format!("{}{summary}", event.name))
        }));
        self.events = frame.events.len();
        let at = frame.at.as_secs_f64();
        news.into_iter().map(|(what, summary)| format!("{at:>5.1} s  {what:<8} {summary}")).collect()
    }

    fn rollout(&mut self, frame: &Frame<'_>, news: &mut Vec<(&str, String)>) {
        let Some(rollout) = &frame.seen.rollout else { return };
        if let Some(reason) =
            rollout.decisions.last().map(|entry| &entry.reason).filter(|reason| **reason != self.reason)
        {
            self.reason.clone_from(reason);
            news.push(("why", reason.clone()));
        }
        let weights = frame.seen.weights;
        if self.weights != weights {
            self.weights = weights;
            let side = |weight: u32, role: Role| Some(format!("{weight} % to {}", frame.seen.version(role)?));
            // Without a stable version the weights have no meaning.
            if let Some(stable) = side(weights.stable, Role::Stable) {
                let canary = side(weights.canary, Role::Canary).map(|canary| format!(", {canary}"));
                news.push(("weight", format!("{stable}{}", canary.unwrap_or_default())));
            }
        }
        if let Some(phase) = rollout.phase {
            let phase = match rollout.message.as_str() {
                "" => phase.as_str().to_owned(),
                message => format!("{}: {message}", phase.as_str()),
            };
            if self.phase != phase {
                self.phase.clone_from(&phase);
                news.push(("phase", phase));
            }
        }
        // The first version has no steps, and an aborted one makes no more steps.
        let stepping = !rollout.stable && !rollout.aborted && frame.seen.version(Role::Stable).is_some();
        let step = rollout.steps.get(rollout.step).filter(|_| stepping);
        let step = step.map(|step| format!("{}/{}: {step}", rollout.step.saturating_add(1), rollout.steps.len()));
        if self.step != step {
            self.step.clone_from(&step);
            news.extend(step.map(|step| ("step", step)));
        }
    }

    /// The first errors of a version.
    fn errors(&mut self, frame: &Frame<'_>, news: &mut Vec<(&str, String)>) {
        let Some(version) = frame.seen.version(Role::Canary) else { return };
        let errors = frame.traffic.of(version).and_then(|measured| measured.errors).filter(|errors| *errors > 0.0);
        if let Some(errors) = errors
            && self.errors_of.as_deref() != Some(version)
        {
            self.errors_of = Some(version.to_owned());
            news.push(("traffic", format!("first errors from {version}: {}", percent(errors))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::frame::fixtures;

    #[test]
    fn each_transition_is_one_line() {
        let lines = Plain::default().lines(&fixtures::bad().frame());

        assert_eq!(
            lines,
            [
                " 23.4 s  title    3/4  a bad version, v3: slow, and some answers are errors",
                " 23.4 s  action   a user deploys v3",
                " 23.4 s  why      step 2/4: paused for 7 s at 10 %",
                " 23.4 s  weight   90 % to v2, 10 % to v3",
                " 23.4 s  phase    Paused: CanaryPauseStep",
                " 23.4 s  step     2/4: pause 7 s",
                " 23.4 s  traffic  first errors from v3: 6.3 %",
                " 23.4 s  event    kulta-rollout.started (v3)",
                " 23.4 s  event    kulta-rollout.progressed (v3, step 1/4, weight 10 %)",
                " 23.4 s  event    kulta-rollout.paused (v3, step 2, weight 10 %)",
            ]
        );
    }

    #[test]
    fn nothing_is_printed_twice() {
        let mut plain = Plain::default();
        let _ = plain.lines(&fixtures::bad().frame());

        assert_eq!(plain.lines(&fixtures::bad().frame()), Vec::<String>::new());
    }

    #[test]
    fn an_empty_cluster_has_a_title_only() {
        assert_eq!(Plain::default().lines(&fixtures::empty().frame()), [" 23.4 s  title    starting"]);
    }
}
