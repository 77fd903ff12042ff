//! Hostile components, and the results of their calls.

use crate::testing::{hostile, situation};
use crate::{CallError, CheckError, FailureClass, Limits, Report};
use serde_json::json;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

async fn failure(misdeed: &str) -> CallError {
    let config = json!({ "misdeed": misdeed }).to_string();
    let plugin = hostile().await;
    plugin.decide(&config, &situation()).await.unwrap_err()
}

#[tokio::test]
async fn an_endless_loop_ends_at_the_deadline() {
    let plugin = hostile().await;
    let began = Instant::now();
    let error = plugin.decide(r#"{"misdeed":"spin"}"#, &situation()).await.unwrap_err();
    assert_eq!(error, CallError::DeadlineExceeded { limit: Limits::default().deadline });
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_endless_loop_lets_other_tasks_of_its_thread_run() {
    let plugin = hostile().await;
    let spinning = async {
        let _ = plugin.decide(r#"{"misdeed":"spin"}"#, &situation()).await;
        Instant::now()
    };
    let other = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Instant::now()
    };
    let (spun, slept) = tokio::join!(spinning, other);
    assert!(slept < spun, "the other task had to wait for the plugin");
}

#[tokio::test]
async fn a_cancelled_call_does_not_affect_the_next_one() {
    let plugin = hostile().await;
    let asked = situation();
    let call = plugin.decide(r#"{"misdeed":"spin"}"#, &asked);
    assert!(tokio::time::timeout(Duration::from_millis(30), call).await.is_err());
    assert!(plugin.decide(r#"{"misdeed":"none"}"#, &situation()).await.is_ok());
}

#[tokio::test]
async fn hoarding_memory_ends_the_call() {
    assert_eq!(failure("allocate").await, CallError::OutOfMemory { limit: 64 << 20 });
}

#[tokio::test]
async fn less_memory_than_the_component_begins_with_is_out_of_memory() {
    let limits = Limits { memory_bytes: 64 << 10, ..Limits::default() };
    let plugins = crate::Plugins::new(limits).unwrap();
    let error = plugins.strategy("canary").await.unwrap_err();
    assert_eq!(error.class(), FailureClass::OutOfMemory, "{error}");
}

#[tokio::test]
async fn a_trap_is_reported_and_the_next_call_works() {
    let plugin = hostile().await;
    for _ in 0..3 {
        let error = plugin.decide(r#"{"misdeed":"trap"}"#, &situation()).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Trapped, "{error}");
        let decision = plugin.decide(r#"{"misdeed":"none"}"#, &situation()).await.unwrap();
        assert_eq!(decision.steps, 1);
    }
}

#[tokio::test]
async fn endless_recursion_traps() {
    let error = failure("recurse").await;
    assert_eq!(error.class(), FailureClass::Trapped, "{error}");
}

#[tokio::test]
async fn an_answer_over_its_sizes_is_too_large() {
    for misdeed in ["hugeReason", "longReason", "longMemory", "manyRuns", "manyFacts"] {
        let error = failure(misdeed).await;
        assert_eq!(error.class(), FailureClass::TooLarge, "{misdeed}: {error}");
    }
}

#[tokio::test]
async fn an_invalid_answer_is_a_bad_answer() {
    for (misdeed, why) in [
        ("heavyWeight", "weight 101 is above the largest, 100"),
        ("stepBeyondSteps", "step 2 of 1"),
        ("endlessWait", "waits until 18446744073709551615 ms"),
        ("manyReplicas", "canary scaled to 4294967295"),
    ] {
        assert_eq!(failure(misdeed).await, CallError::BadAnswer(why.to_owned()));
    }
}

#[tokio::test]
async fn an_error_of_the_plugin_keeps_its_class_and_its_message() {
    for (misdeed, report) in [
        ("invalidConfig", Report::InvalidConfig("misdeed: no good".into())),
        ("unavailable", Report::Unavailable("come back later".into())),
        ("internal", Report::Internal("out of ideas".into())),
    ] {
        assert_eq!(failure(misdeed).await, CallError::Reported(report));
    }
}

#[test]
fn a_long_message_is_cut_at_a_character() {
    use crate::bindings::any::kulta::plugin::types::Error;

    // The SDK shortens messages itself; other SDKs may not.
    let Report::Internal(message) = Report::from(Error::Internal("é".repeat(1_000))) else {
        panic!("expected the plugin's own report");
    };
    assert_eq!(message, "é".repeat(512));
}

/// The error classes of each kind's misdeeds.
#[tokio::test]
async fn misdeeds_of_analyzers_enrichers_and_steps_have_their_classes() {
    use crate::fixtures_for_tests::{analyzed, enriched, stepped};

    let common = [
        ("trap", FailureClass::Trapped),
        ("recurse", FailureClass::Trapped),
        ("allocate", FailureClass::OutOfMemory),
        ("spin", FailureClass::DeadlineExceeded),
        ("internal", FailureClass::Internal),
        ("manyRequests", FailureClass::TooLarge),
        ("noRequests", FailureClass::BadAnswer),
        ("largeBody", FailureClass::TooLarge),
        ("longMemory", FailureClass::TooLarge),
    ];
    for (misdeed, class) in common {
        let found = [analyzed(misdeed).await, enriched(misdeed).await, stepped(misdeed).await];
        assert_eq!(found, [Some(class); 3], "{misdeed}");
    }
    for (misdeed, class) in [
        ("longValue", FailureClass::TooLarge),
        ("longReason", FailureClass::TooLarge),
        ("manyMetadata", FailureClass::TooLarge),
        ("endlessWait", FailureClass::BadAnswer),
        ("malformedJson", FailureClass::BadAnswer),
        ("noJson", FailureClass::BadAnswer),
        ("nanValue", FailureClass::BadAnswer),
        ("infiniteValue", FailureClass::BadAnswer),
    ] {
        assert_eq!(analyzed(misdeed).await, Some(class), "{misdeed}");
    }
    for (misdeed, class) in [("malformedJson", FailureClass::BadAnswer), ("longAddition", FailureClass::TooLarge)] {
        assert_eq!(enriched(misdeed).await, Some(class), "{misdeed}");
    }
}

#[tokio::test]
async fn a_misdeed_in_check_config_is_not_an_error_of_the_configuration() {
    let plugin = hostile().await;
    for (misdeed, class) in [
        ("spin", FailureClass::DeadlineExceeded),
        ("trap", FailureClass::Trapped),
        ("unavailable", FailureClass::Unavailable),
        ("invalidConfig", FailureClass::InvalidConfig),
    ] {
        let config = json!({"misdeed": misdeed, "on_check": true});
        let error = plugin.check_config(&config).await.unwrap_err();
        assert_eq!(error.class(), class, "{error}");
        assert_eq!(matches!(error, CheckError::Invalid(_)), misdeed == "invalidConfig");
    }
}

#[tokio::test]
async fn a_flood_of_log_lines_is_capped_and_counted() {
    let lines = logged("floodLog").await;
    assert_eq!(lines.len(), 33, "32 lines and one about the rest");
    assert!(lines[0].contains("line 0") && lines[0].contains("rollout=\"shop/web\""), "{}", lines[0]);
    assert!(lines[0].contains("plugin=\"hostile\"") && lines[0].contains("sha256:"), "{}", lines[0]);
    assert!(lines[32].contains("dropped=9968"), "{}", lines[32]);
}

#[tokio::test]
async fn a_long_log_line_is_cut() {
    let lines = logged("longLogLine").await;
    assert_eq!(lines.len(), 1);
    assert!(lines[0].len() < 1_500, "{}", lines[0].len());
}

/// The log lines of a call. The test's runtime has one thread, so this thread's subscriber sees all.
async fn logged(misdeed: &str) -> Vec<String> {
    let plugin = hostile().await;
    let written = Written::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer({
            let written = written.clone();
            move || written.clone()
        })
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let config = json!({ "misdeed": misdeed }).to_string();
    plugin.decide(&config, &situation()).await.unwrap();
    drop(guard);
    let bytes = written.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
