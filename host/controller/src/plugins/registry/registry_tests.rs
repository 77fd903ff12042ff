use kulta_wasm::{CONDITION_LANGUAGE, CallError, Limits};

use super::*;

/// More failures in a row than a breaker bears.
const MANY: usize = 9;

#[test]
fn what_is_logged_of_a_plugin_is_news_until_it_is_the_same_again() {
    let registry = PluginRegistry::new(Arc::new(Plugins::new(Limits::default()).unwrap()));

    let news = [PluginReason::Serving, PluginReason::Serving, PluginReason::Refused]
        .map(|reason| registry.is_new_to_log("judge", reason, "sha256:a"));

    assert_eq!(news, [true, false, true]);
}

#[tokio::test]
async fn one_users_hostile_conditions_do_not_keep_others_from_being_judged() {
    let registry = PluginRegistry::new(Arc::new(Plugins::new(Limits::default()).unwrap()));
    let language = registry.condition(CONDITION_LANGUAGE, None).await.unwrap();
    for _ in 0..MANY {
        let hostile = async { Err::<bool, _>(CallError::Trapped("out of memory".to_owned())) };
        assert!(language.with_breaker(Timestamp::UNIX_EPOCH, hostile).await.is_err());
    }

    let judged = language.with_breaker(Timestamp::UNIX_EPOCH, language.plugin.evaluate("", "result > 1", "2")).await;

    assert_eq!(judged, Ok(true));
}

#[test]
fn steps_that_name_a_disabled_plugin_are_skipped_until_it_is_enabled() {
    let registry = PluginRegistry::new(Arc::new(Plugins::new(Limits::default()).unwrap()));
    let serves = || Some(vec!["team/gate".to_owned()]);

    let changed = [registry.disable("gate", serves()), registry.disable("gate", serves())];
    let skipped = ["team/gate", "team/mail"].map(|name| registry.skips_steps(name));
    registry.disable("gate", None);

    assert_eq!((changed, skipped), ([true, false], [true, false]));
    assert!(!registry.skips_steps("team/gate"));
}
