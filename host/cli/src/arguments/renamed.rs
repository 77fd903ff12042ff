//! Spellings of version 0.1 that have another name now. They are accepted for one version, with a warning in the log.

use std::ffi::{OsStr, OsString};

/// A flag and its environment variable, as they were and as they are.
pub struct Renamed {
    pub old_flag: &'static str,
    pub new_flag: &'static str,
    pub old_variable: &'static str,
    pub new_variable: &'static str,
    /// The unit that the value had without saying so.
    pub unit: &'static str,
}

const fn renamed(
    old_flag: &'static str,
    new_flag: &'static str,
    old_variable: &'static str,
    new_variable: &'static str,
) -> Renamed {
    Renamed { old_flag, new_flag, old_variable, new_variable, unit: "" }
}

pub const RENAMED: &[Renamed] = &[
    renamed("metrics-url-prefix", "analysis-url-prefix", "KULTA_METRICS_URL_PREFIX", "KULTA_ANALYSIS_URL_PREFIX"),
    renamed("metrics-deny", "analysis-deny", "KULTA_METRICS_DENY", "KULTA_ANALYSIS_DENY"),
    renamed("metrics-loopback", "analysis-loopback", "KULTA_METRICS_LOOPBACK", "KULTA_ANALYSIS_LOOPBACK"),
    renamed("metrics-record", "analysis-record", "KULTA_METRICS_RECORD", "KULTA_ANALYSIS_RECORD"),
    renamed("metrics-replay", "analysis-replay", "KULTA_METRICS_REPLAY", "KULTA_ANALYSIS_REPLAY"),
    Renamed {
        unit: "Mi",
        ..renamed(
            "plugin-compile-memory-mib",
            "plugin-compile-memory",
            "KULTA_PLUGIN_COMPILE_MEMORY_MIB",
            "KULTA_PLUGIN_COMPILE_MEMORY",
        )
    },
];

/// The arguments with today's names, and a warning for each old one.
#[must_use]
pub fn translate(arguments: Vec<OsString>) -> (Vec<OsString>, Vec<String>) {
    let (mut translated, mut warnings) = (Vec::with_capacity(arguments.len()), Vec::new());
    let mut unit_of_next = "";
    for argument in arguments {
        let unit = std::mem::take(&mut unit_of_next);
        let Some((entry, value)) = find(&argument) else {
            translated.push(with_unit(argument, unit));
            continue;
        };
        warnings.push(format!(
            "--{} is now --{}; the old name will be removed in the next version",
            entry.old_flag, entry.new_flag
        ));
        match value {
            Some(value) => translated.push(format!("--{}={value}{}", entry.new_flag, entry.unit).into()),
            None => {
                translated.push(format!("--{}", entry.new_flag).into());
                unit_of_next = entry.unit;
            }
        }
    }
    (translated, warnings)
}

fn find(argument: &OsStr) -> Option<(&'static Renamed, Option<&str>)> {
    let flag = argument.to_str()?.strip_prefix("--")?;
    let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
    RENAMED.iter().find(|entry| entry.old_flag == name).map(|entry| (entry, value))
}

fn with_unit(mut argument: OsString, unit: &str) -> OsString {
    argument.push(unit);
    argument
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(arguments: &[&str]) -> (Vec<String>, Vec<String>) {
        let (arguments, warnings) = translate(arguments.iter().map(OsString::from).collect());
        (arguments.into_iter().map(|argument| argument.into_string().unwrap()).collect(), warnings)
    }

    #[test]
    fn old_names_become_todays_with_one_warning_each() {
        let (arguments, warnings) = translated(&["--metrics-deny", "10.0.0.0/8", "--metrics-loopback", "--workers=2"]);

        assert_eq!(arguments, ["--analysis-deny", "10.0.0.0/8", "--analysis-loopback", "--workers=2"]);
        assert_eq!(warnings.len(), 2);
        assert_eq!(
            warnings[0],
            "--metrics-deny is now --analysis-deny; the old name will be removed in the next version"
        );
    }

    #[test]
    fn mebibytes_get_their_unit() {
        for old in [&["--plugin-compile-memory-mib=512"][..], &["--plugin-compile-memory-mib", "512"]] {
            assert_eq!(translated(old).0.concat().replace('=', ""), "--plugin-compile-memory512Mi");
        }
    }
}
