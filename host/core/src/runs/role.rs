//! The purpose of a run, and its names: for the strategy, for its object, and in the outbox.

use crate::analysis::RunType;

/// An analysis that a strategy can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Background,
    /// Index of the step.
    Step(u32),
    /// Before a blue-green update switches all traffic.
    PrePromotion,
    /// After a blue-green update has switched all traffic.
    PostPromotion,
}

/// Names of the two analyses of a blue-green update, for the strategy and in object names.
const PRE: &str = "pre";
const POST: &str = "post";

impl Role {
    /// Finds the role by the strategy's name for it.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "background" => return Some(Self::Background),
            PRE => return Some(Self::PrePromotion),
            POST => return Some(Self::PostPromotion),
            _ => {}
        }
        let index = name.strip_prefix("steps/")?.strip_suffix("/analysis")?;
        index.parse().ok().map(Self::Step)
    }

    pub fn name(self) -> String {
        match self {
            Self::Background => "background".to_owned(),
            Self::Step(index) => format!("steps/{index}/analysis"),
            Self::PrePromotion => PRE.to_owned(),
            Self::PostPromotion => POST.to_owned(),
        }
    }

    /// Argo's label for the role. Argo's event names begin with it too.
    pub fn label(self) -> &'static str {
        self.run_type().as_str()
    }

    /// The run may measure until it is terminated.
    pub fn is_endless(self) -> bool {
        self == Self::Background
    }

    /// An analysis before or after a blue-green update switches all traffic.
    pub fn is_of_promotion(self) -> bool {
        matches!(self, Self::PrePromotion | Self::PostPromotion)
    }

    pub fn run_type(self) -> RunType {
        match self {
            Self::Background => RunType::Background,
            Self::Step(index) => RunType::Step(index),
            Self::PrePromotion => RunType::PrePromotion,
            Self::PostPromotion => RunType::PostPromotion,
        }
    }
}

/// The part of a run's object name after `<rollout>-<hash>-`: `<revision>[-<step>|-pre|-post][.<n>]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub role: Role,
    /// 1 for the name without a suffix, 2 for `.1`, and so on.
    pub attempt: u32,
}

impl Named {
    pub fn parse(suffix: &str) -> Option<Self> {
        let (base, attempt) = match suffix.split_once('.') {
            Some((base, count)) => (base, count.parse::<u32>().ok()?.checked_add(1)?),
            None => (suffix, 1),
        };
        let (revision, role) = match base.split_once('-') {
            Some((revision, PRE)) => (revision, Role::PrePromotion),
            Some((revision, POST)) => (revision, Role::PostPromotion),
            Some((revision, step)) => (revision, Role::Step(step.parse().ok()?)),
            None => (base, Role::Background),
        };
        revision.parse::<u64>().ok()?;
        Some(Self { role, attempt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_found_by_the_name_that_the_strategy_gives_it() {
        for role in [Role::Background, Role::Step(0), Role::Step(12), Role::PrePromotion, Role::PostPromotion] {
            assert_eq!(Role::parse(&role.name()), Some(role));
        }
    }

    #[test]
    fn other_names_have_no_role() {
        for name in ["", "before", "steps/1/experiment", "steps/1/plugin", "steps//analysis", "steps/-1/analysis"] {
            assert_eq!(Role::parse(name), None, "{name}");
        }
    }

    #[test]
    fn the_name_of_a_run_says_what_it_is_for_and_which_attempt_it_is() {
        for (suffix, expected) in [
            ("2", Some((Role::Background, 1))),
            ("2.1", Some((Role::Background, 2))),
            ("2-0", Some((Role::Step(0), 1))),
            ("12-3.4", Some((Role::Step(3), 5))),
            ("2-pre", Some((Role::PrePromotion, 1))),
            ("2-post.1", Some((Role::PostPromotion, 2))),
            ("2-after", None),
            ("x", None),
            ("2.x", None),
            ("", None),
        ] {
            assert_eq!(Named::parse(suffix).map(|named| (named.role, named.attempt)), expected, "{suffix}");
        }
    }
}
