//! docs/flags.md and docs/config.schema.json list what clap knows. `KULTA_WRITE_DOCS=1 cargo test -p kulta docs` writes them anew.

use std::fs;
use std::path::PathBuf;

use clap::{Arg, Command, CommandFactory};

use super::argo::{ARGO_FLAGS, Meaning};
use super::config::{key, settable};
use super::renamed::RENAMED;
use super::schema::help;
use super::{Arguments, controller_command, parse, schema};

const BEGIN: &str = "<!-- Generated from the program: begin -->\n";
const END: &str = "<!-- Generated from the program: end -->\n";
const WRITE: &str = "KULTA_WRITE_DOCS";

fn document(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// Compares a document with what it should be, or writes it.
fn check(name: &str, expected: &str) {
    let path = document(name);
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap();
    assert!(found == expected, "docs/{name} is out of date: {WRITE}=1 cargo test -p kulta docs\n{expected}");
}

#[test]
fn the_docs_list_every_flag_as_the_program_has_it() {
    let found = fs::read_to_string(document("flags.md")).unwrap();
    let (before, rest) = found.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();

    check("flags.md", &format!("{before}{BEGIN}{}{END}{after}", tables()));
}

#[test]
fn the_published_schema_of_the_configuration_file_is_current() {
    let schema = serde_json::to_string_pretty(&schema(&controller_command())).unwrap();

    check("config.schema.json", &format!("{schema}\n"));
}

#[test]
fn the_example_in_the_docs_is_a_valid_configuration() {
    let text = fs::read_to_string(document("flags.md")).unwrap();
    let example = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let path = std::env::temp_dir().join(format!("kulta-docs-{}.yaml", std::process::id()));
    fs::write(&path, example).unwrap();
    let arguments = ["kulta", "--config", path.to_str().unwrap()].map(Into::into).to_vec();

    let parsed = parse(arguments, |_| None);

    assert!(parsed.is_ok(), "{}", parsed.err().unwrap());
}

fn tables() -> String {
    let mut text = controller_tables();
    text.push_str("\n## Flags of Argo Rollouts without a meaning\n\n| flag | what happens |\n|---|---|\n");
    for flag in ARGO_FLAGS {
        let here = match flag.meaning {
            Meaning::None(why) => format!("accepted, one line in the log: {why}"),
            Meaning::Refused(instead) => format!("refused: {instead}"),
            Meaning::RefusedUnlessEmpty(instead) => format!("refused unless it is empty, Argo's default: {instead}"),
        };
        text.push_str(&format!("| `--{}` | {} |\n", flag.name, cell(&here)));
    }
    text.push_str("\n## Old names\n\nThey work in this version, with a warning in the log.\n\n");
    text.push_str("| was | is |\n|---|---|\n");
    for entry in RENAMED {
        text.push_str(&format!("| `--{}` | `--{}` |\n", entry.old_flag, entry.new_flag));
        text.push_str(&format!("| `{}` | `{}` |\n", entry.old_variable, entry.new_variable));
    }
    let mut root = Arguments::command();
    root.build();
    for command in root.get_subcommands().filter(|command| command.get_name() != "controller") {
        push_command(&mut text, command, "kulta");
    }
    text
}

fn controller_tables() -> String {
    let controller = controller_command();
    let mut text = String::from("\n## kulta controller\n");
    let mut heading = None;
    for flag in controller.get_arguments().filter(|flag| shown(flag)) {
        if heading != Some(flag.get_help_heading()) {
            heading = Some(flag.get_help_heading());
            if let Some(group) = flag.get_help_heading() {
                text.push_str(&format!("\n### {group}\n"));
            }
            text.push_str("\n| flag | variable | key | default | meaning |\n|---|---|---|---|---|\n");
        }
        let in_file = settable(&controller).any(|other| other.get_id() == flag.get_id());
        let key = if in_file { format!("`{}`", key(flag)) } else { String::new() };
        let variable = flag.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        text.push_str(&format!("| {} | {variable} | {key} | {} | {} |\n", names(flag), default(flag), meaning(flag)));
    }
    text
}

fn push_command(text: &mut String, command: &Command, parent: &str) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = format!("{parent} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    text.push_str(&format!("\n## {name}\n\n{about}.\n"));
    let flags: Vec<&Arg> = command.get_arguments().filter(|flag| shown(flag)).collect();
    if !flags.is_empty() {
        text.push_str("\n| flag | default | meaning |\n|---|---|---|\n");
    }
    for flag in flags {
        text.push_str(&format!("| {} | {} | {} |\n", names(flag), default(flag), meaning(flag)));
    }
    for inner in command.get_subcommands() {
        push_command(text, inner, &name);
    }
}

fn shown(flag: &Arg) -> bool {
    !flag.is_hide_set() && !matches!(flag.get_id().as_str(), "help" | "version")
}

/// The flag's names and its value.
fn names(flag: &Arg) -> String {
    let takes = flag.get_num_args().is_some_and(|range| range.takes_values());
    let optional = flag.get_num_args().is_some_and(|range| range.min_values() == 0);
    let value = flag.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default();
    let value = match (takes, optional) {
        (true, true) => format!("[={value}]"),
        (true, false) => format!(" {value}"),
        (false, _) => String::new(),
    };
    let Some(long) = flag.get_long() else { return format!("`{}`", cell(value.trim())) };
    let mut names = vec![format!("`--{long}{}`", cell(&value))];
    names.extend(flag.get_short().map(|short| format!("`-{short}`")));
    names.extend(flag.get_all_aliases().unwrap_or_default().iter().map(|alias| format!("`--{alias}`")));
    names.join(", ")
}

fn default(flag: &Arg) -> String {
    if !flag.get_num_args().is_some_and(|range| range.takes_values()) {
        return String::new();
    }
    let values: Vec<_> = flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if values.is_empty() { String::new() } else { format!("`{}`", cell(&values.join(","))) }
}

fn meaning(flag: &Arg) -> String {
    let takes = flag.get_num_args().is_some_and(|range| range.takes_values());
    let values: Vec<_> = flag
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    let one_of = if takes { values.join(", ") } else { String::new() };
    let parts = [help(flag), one_of];
    let parts: Vec<_> = parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
    cell(&parts.join(": "))
}

/// Fit for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}
