//! Plugins compiled by a child of the controller, within limits.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use kulta_wasm::{ChildCompiler, Compiler, Limits, LoadError, Plugins};

/// The binary of this build.
const KULTA: &str = env!("CARGO_BIN_EXE_kulta");
const PLENTY_MIB: u32 = 1_024;
/// The smallest component that describes itself is enough of one to be compiled.
const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn child(memory_mib: u32) -> ChildCompiler {
    ChildCompiler::new(KULTA.into(), vec!["compile-component".into(), format!("--memory-mib={memory_mib}")])
}

fn plugins(compiler: ChildCompiler) -> Plugins {
    Plugins::new(Limits::default()).unwrap().with_compiler(Compiler::Child(compiler))
}

async fn refusal(compiler: ChildCompiler, component: &[u8]) -> LoadError {
    plugins(compiler).load("theirs", component.to_vec(), Limits::default()).await.unwrap_err()
}

#[tokio::test]
async fn a_child_compiles_what_the_controller_calls() {
    let plugins = plugins(child(PLENTY_MIB));

    let plugin = plugins.strategy("linear").await.unwrap();

    assert_eq!(plugin.info().name, "linear");
}

#[tokio::test]
async fn what_is_no_component_is_said_to_be_none() {
    let refused = refusal(child(PLENTY_MIB), b"hello").await;

    assert!(matches!(refused, LoadError::NotAComponent(_)), "{refused}");
}

#[tokio::test]
async fn a_component_of_no_kind_is_refused_after_it_was_compiled() {
    let refused = refusal(child(PLENTY_MIB), EMPTY_COMPONENT).await;

    assert!(matches!(refused, LoadError::NoKind { .. }), "{refused}");
}

#[tokio::test]
async fn a_compiler_that_runs_out_of_memory_is_the_components_failure() {
    // Enough to start, not enough for its answer.
    let plugins = plugins(child(24));

    let refused = plugins.strategy("canary").await.unwrap_err();

    assert!(refused.to_string().contains("could not be compiled"), "{refused}");
}

#[tokio::test]
async fn a_compiler_that_takes_too_long_is_ended() {
    let slow =
        ChildCompiler { program: "/bin/sleep".into(), arguments: vec!["60".into()], time: Duration::from_millis(50) };

    let refused = refusal(slow, EMPTY_COMPONENT).await;

    assert!(matches!(&refused, LoadError::TooCostly(why) if why.contains("50ms")), "{refused}");
}
