//! Components that were built with a released interface must load and answer in every later version: these files are
//! never regenerated. One for each kind that users write, for each folder of `wit/`.

use crate::Limits;
use crate::strategy::Next;
use crate::testing::{BUILT_IN, situation};

macro_rules! golden {
    ($version:literal, $kind:literal) => {
        include_bytes!(concat!("../golden/", $version, "/", $kind, ".wasm"))
    };
}

#[tokio::test]
async fn a_strategy_of_the_first_interface_still_decides() {
    let golden = golden!("0.1.0", "strategy").to_vec();
    let loaded = BUILT_IN.load("golden", golden, Limits::default()).await.unwrap();
    let config = r#"{"stepWeight":40,"interval":"1h"}"#;

    let decision = loaded.strategy().unwrap().decide(config, &situation()).await.unwrap();

    assert_eq!((decision.weight, matches!(decision.next, Next::Hold(_))), (40, true), "{decision:?}");
}

#[tokio::test]
async fn each_other_kind_of_the_first_interface_still_describes_itself() {
    for (component, kind) in [
        (golden!("0.1.0", "analyzer").to_vec(), crate::Kind::Analyzer),
        (golden!("0.1.0", "enricher").to_vec(), crate::Kind::Enricher),
        (golden!("0.1.0", "step").to_vec(), crate::Kind::Step),
    ] {
        let loaded = BUILT_IN.load("golden", component, Limits::default()).await.unwrap();

        assert_eq!(loaded.kinds(), [kind]);
    }
}
