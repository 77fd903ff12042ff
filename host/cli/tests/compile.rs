//! Compilation of plugins by a child process of the controller, within limits.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use kulta_wasm::{ChildCompiler, Compiler, Limits, LoadError, Plugins};

/// The binary of this build.
const KULTA: &str = env!("CARGO_BIN_EXE_kulta");
const PLENTY_MIB: u32 = 1_024;
/// The smallest component that describes itself.
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
async fn a_child_process_compiles_a_component_for_the_controller() {
    let plugins = plugins(child(PLENTY_MIB));

    let plugin = plugins.strategy("linear").await.unwrap();

    assert_eq!(plugin.info().name, "linear");
}

#[tokio::test]
async fn invalid_bytes_are_reported_as_no_component() {
    let refused = refusal(child(PLENTY_MIB), b"hello").await;

    assert!(matches!(refused, LoadError::NotAComponent(_)), "{refused}");
}

#[tokio::test]
async fn a_component_without_a_kind_is_rejected_after_compilation() {
    let refused = refusal(child(PLENTY_MIB), EMPTY_COMPONENT).await;

    assert!(matches!(refused, LoadError::NoKind { .. }), "{refused}");
}

#[tokio::test]
async fn a_compiler_that_runs_out_of_memory_is_a_load_error() {
    // Enough memory to start, but not to write the result.
    let plugins = plugins(child(24));

    let refused = plugins.strategy("canary").await.unwrap_err();

    assert!(refused.to_string().contains("could not be compiled"), "{refused}");
}

#[tokio::test]
async fn a_compiler_that_takes_too_long_is_killed() {
    let slow =
        ChildCompiler { program: "/bin/sleep".into(), arguments: vec!["60".into()], time: Duration::from_millis(50) };

    let refused = refusal(slow, EMPTY_COMPONENT).await;

    assert!(matches!(&refused, LoadError::TooCostly(why) if why.contains("50ms")), "{refused}");
}
