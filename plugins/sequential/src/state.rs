//! The analyzer's state between measurements, as bytes: a version, then postcard; always below 1 KB.

use crate::confidence::Confidence;
use crate::dispersion::Dispersion;
use crate::evidence::{Evidence, Hypotheses};
use crate::likelihood::{Counts, Window};
use crate::span::{HISTORY, Span};
use kulta_plugin::Error;
use serde::{Deserialize, Serialize};

/// Version of the layout below. A change of the layout, or of the meaning of its numbers, needs a new version.
const VERSION: u8 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The end of the last counted window, where the next one begins: Unix milliseconds.
    pub counted_until: u64,
    /// Number of counted windows.
    pub windows: u32,
    /// All requests of those windows.
    pub canary: Counts,
    pub stable: Counts,
    pub evidence: Evidence,
    pub confidence: Confidence,
    pub dispersion: Dispersion,
    /// The windows of the requests in flight.
    pub asked: Option<Asked>,
    /// The odds ratios of the evidence.
    tolerated: f64,
    largest: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub span: Span,
    /// Number of stable's windows before the span that are requested too.
    pub history: u32,
}

impl Asked {
    /// The span of stable's request, including its past.
    pub fn of_stable(&self) -> Span {
        self.span.extended(self.history)
    }
}

impl State {
    /// Before the first window, which begins at `from` (Unix milliseconds).
    pub fn new(from: u64, hypotheses: &Hypotheses) -> Self {
        Self {
            counted_until: from,
            windows: 0,
            canary: Counts::default(),
            stable: Counts::default(),
            evidence: Evidence::none(),
            confidence: Confidence::none(),
            dispersion: Dispersion::default(),
            asked: None,
            tolerated: hypotheses.tolerated,
            largest: hypotheses.largest,
        }
    }

    /// Decodes the result of [`Self::write`]. Fails for other bytes, and for a state with other hypotheses.
    pub fn read(bytes: &[u8], hypotheses: &Hypotheses) -> Result<Self, Error> {
        let error = |problem: String| Err(Error::Internal(format!("memory: {problem}")));
        let state: Self = match bytes {
            [VERSION, rest @ ..] => match postcard::take_from_bytes(rest) {
                Ok((state, [])) => state,
                Ok((_, more)) => return error(format!("{} bytes too many", more.len())),
                Err(problem) => return error(format!("not what this version writes: {problem}")),
            },
            [version, ..] => return error(format!("version {version}; this plugin knows version {VERSION}")),
            [] => return error("empty".into()),
        };
        if !state.is_sound() {
            return error("its numbers are impossible".into());
        }
        if (state.tolerated, state.largest) != (hypotheses.tolerated, hypotheses.largest) {
            return error(format!(
                "its evidence is about theta0 {} and thetaMax {}, the configuration now says {} and {}: begin a new run",
                state.tolerated, state.largest, hypotheses.tolerated, hypotheses.largest
            ));
        }
        Ok(state)
    }

    pub fn write(&self) -> Result<Vec<u8>, Error> {
        let error = |problem: postcard::Error| Error::Internal(format!("write the memory: {problem}"));
        let mut bytes = vec![VERSION];
        bytes.extend(postcard::to_allocvec(self).map_err(error)?);
        Ok(bytes)
    }

    fn is_sound(&self) -> bool {
        self.evidence.is_sound()
            && self.confidence.is_sound()
            && self.dispersion.is_sound()
            && self.asked.is_none_or(|asked| asked.span.is_sound() && asked.history <= HISTORY)
    }

    /// Counts the next window. `dispersion`: φ if it is given rather than estimated.
    pub fn count(&mut self, window: &Window, hypotheses: &Hypotheses, dispersion: Option<f64>) {
        let phi = dispersion.unwrap_or_else(|| self.dispersion.estimate());
        self.evidence.add(window, hypotheses, phi);
        self.confidence.add(window, phi);
        // Added after the window: the exponent must not depend on the window that it is used for.
        self.dispersion.add(window.stable);
        self.canary = self.canary.and(window.canary);
        self.stable = self.stable.and(window.stable);
        self.windows = self.windows.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kulta_plugin::testing::NOW;
    use proptest::prelude::*;

    const HYPOTHESES: Hypotheses =
        Hypotheses { tolerated: 1.25, largest: 2.0, worse_at: 100.0, not_worse_at: 20.0, fewest_windows: 2 };

    fn busy() -> State {
        let mut state = State::new(NOW, &HYPOTHESES);
        let window = Window {
            canary: Counts { requests: 1 << 50, bad: 1 << 49 },
            stable: Counts { requests: 1 << 50, bad: 1 << 48 },
        };
        for _ in 0..300 {
            state.count(&window, &HYPOTHESES, None);
        }
        state.asked =
            Some(Asked { span: Span { start: u64::MAX >> 1, step: u64::MAX >> 8, windows: 24 }, history: 24 });
        state
    }

    fn message(read: Result<State, Error>) -> String {
        match read {
            Err(Error::Internal(message)) => message,
            other => panic!("expected an internal error, got {other:?}"),
        }
    }

    #[test]
    fn a_written_state_is_read_back() {
        let state = busy();
        assert_eq!(State::read(&state.write().unwrap(), &HYPOTHESES), Ok(state));
    }

    #[test]
    fn every_state_fits_into_a_kilobyte() {
        let bytes = busy().write().unwrap();
        assert!(bytes.len() < 1_000, "{}", bytes.len());
    }

    #[test]
    fn an_unknown_version_is_rejected_by_name() {
        let mut bytes = busy().write().unwrap();
        bytes[0] = 7;
        assert_eq!(message(State::read(&bytes, &HYPOTHESES)), "memory: version 7; this plugin knows version 1");
    }

    #[test]
    fn truncated_or_extended_bytes_are_rejected() {
        let bytes = busy().write().unwrap();
        for end in 0..bytes.len() {
            assert!(State::read(&bytes[..end], &HYPOTHESES).is_err(), "{end}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(message(State::read(&longer, &HYPOTHESES)), "memory: 1 bytes too many");
    }

    #[test]
    fn evidence_about_other_odds_ratios_is_rejected() {
        let bytes = busy().write().unwrap();
        let read = State::read(&bytes, &Hypotheses { tolerated: 1.5, ..HYPOTHESES });
        assert!(message(read).contains("theta0 1.25 and thetaMax 2, the configuration now says 1.5 and 2"));
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_refused_or_sound(at in 0usize..600, value in any::<u8>()) {
            let mut bytes = State::new(NOW, &HYPOTHESES).write().unwrap();
            let at = at % bytes.len();
            bytes[at] = value;
            if let Ok(mut state) = State::read(&bytes, &HYPOTHESES) {
                state.count(&Window::default(), &HYPOTHESES, None);
                prop_assert!(state.evidence.log_worse().is_finite());
            }
        }
    }
}
