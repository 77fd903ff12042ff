use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::tests::{one, phase_of};
use super::*;
use crate::analysis::due;
use crate::analysis::fixtures::{Scenario, at, measured, metric};

use AnalysisPhase::{Error, Failed, Inconclusive, Running, Successful};

/// An independent implementation of Argo's rules for one metric: returns the phase after these measurements.
fn expected(
    letters: &[char],
    count: Option<i32>,
    failure: i32,
    inconclusive: i32,
    errors: i32,
    success: i32,
) -> AnalysisPhase {
    let (mut taken, mut failed, mut unclear, mut wrong, mut right) = (0, 0, 0, 0, 0);
    for letter in letters {
        (wrong, right) = match letter {
            'E' => (wrong + 1, 0),
            'S' => (0, right + 1),
            _ => (0, 0),
        };
        taken += i32::from(*letter != 'E');
        failed += i32::from(*letter == 'F');
        unclear += i32::from(*letter == 'I');
        if wrong > errors {
            return Error;
        }
        if unclear > inconclusive {
            return Inconclusive;
        }
        if failure >= 0 && failed > failure {
            return Failed;
        }
        if success > 0 && right >= success {
            return Successful;
        }
        if count.is_some_and(|count| taken >= count) {
            return match (success > 0, failure >= 0) {
                (true, true) => Inconclusive,
                (true, false) => Failed,
                (false, _) => Successful,
            };
        }
    }
    Running
}

proptest! {
    #[test]
    fn any_measurements_are_assessed_as_the_rules_say(
        letters in prop::collection::vec(prop::sample::select(vec!['S', 'F', 'I', 'E']), 1..30),
        room in prop::option::of(0..6_i32),
        failure in -1..3_i32,
        inconclusive in 0..3_i32,
        errors in 0..3_i32,
        success in 0..4_i32,
    ) {
        let success = if failure < 0 { success.max(1) } else { success };
        let count = room.map(|room| (failure.max(0) + success).max(inconclusive).max(1) + room);
        let mut fields = json!({
            "interval": "5s", "failureLimit": failure, "inconclusiveLimit": inconclusive,
            "consecutiveErrorLimit": errors, "consecutiveSuccessLimit": success,
        });
        if let Some(count) = count {
            fields["count"] = json!(count);
        }
        let mut scenario = one(fields);

        scenario.answer_all(&letters.iter().map(|letter| measured(phase_of(*letter))).collect::<Vec<_>>());

        prop_assert_eq!(scenario.phase(), expected(&letters, count, failure, inconclusive, errors, success));
    }

    /// The controller dies before it stores an assessment, or passes measurements that it stored before.
    #[test]
    fn no_measurement_is_counted_twice_however_often_the_controller_dies(
        deaths in prop::collection::vec(0..4_u8, 1..40),
    ) {
        let mut scenario = Scenario::new(json!({ "metrics": [
            metric("a", json!({ "interval": "5s" })), metric("b", json!({ "interval": "7s", "failureLimit": 99 })),
        ] }));
        let mut stored: BTreeMap<String, i32> = BTreeMap::new();
        let mut stale = Vec::new();
        for death in deaths {
            let calls = due(&scenario.run, &scenario.checked(), at(scenario.now)).calls;
            let taken: Vec<_> = calls.iter().map(|call| call.taken(measured(Successful))).collect();
            if death == 0 {
                continue;
            }
            let handed_in = taken.iter().cloned().chain(stale.clone()).collect();
            let assessed = assess(&scenario.run, &scenario.checked(), handed_in, at(scenario.now));
            if death == 1 {
                continue;
            }
            scenario.run.status = Some(assessed.status);
            for call in &calls {
                *stored.entry(call.metric.clone()).or_default() += 1;
            }
            stale = taken;
            if death == 3 {
                scenario.now += 5;
            }
        }

        let counted: BTreeMap<String, i32> = scenario
            .run
            .status
            .iter()
            .flat_map(|status| &status.metric_results)
            .map(|result| (result.name.clone(), result.count))
            .collect();
        prop_assert_eq!(counted, stored);
    }

    #[test]
    fn the_patch_turns_the_stored_status_into_the_new_one(letters in "[SFIE]{1,8}") {
        let mut scenario = one(json!({ "interval": "5s", "failureLimit": 2, "inconclusiveLimit": 2 }));
        let mut stored = json!({});
        for letter in letters.chars() {
            let assessed = scenario.answer(|_| measured(phase_of(letter)));
            if let Some(patch) = &assessed.patch {
                json_patch::merge(&mut stored, patch);
            }
            prop_assert_eq!(&stored, &json!(assessed.status));
            scenario.now = assessed.wake_up.map_or(scenario.now, |time| time.as_second());
        }
    }
}
