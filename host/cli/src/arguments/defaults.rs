//! Values with a lower precedence than flags and their environment variables: those of the configuration file, and of environment
//! variables under other names.

use clap::Command;

use super::renamed::RENAMED;

/// A default of a flag that comes from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Default {
    /// The flag's id.
    pub flag: String,
    pub values: Vec<String>,
    /// Where it was found, for errors.
    pub source: String,
}

/// Other environment variables for a flag, below its own: flag, its own variable, the other one.
const OTHER_VARIABLES: [(&str, &str, &str); 5] = [
    ("http_proxy", "HTTP_PROXY", "http_proxy"),
    ("https_proxy", "HTTPS_PROXY", "https_proxy"),
    ("no_proxy", "NO_PROXY", "no_proxy"),
    ("own_namespace", "KULTA_OWN_NAMESPACE", "POD_NAMESPACE"),
    ("prometheus_address", "KULTA_PROMETHEUS_ADDRESS", "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS"),
];

/// The command with these defaults; a later one of a flag wins.
#[must_use]
pub fn apply(command: Command, defaults: &[Default]) -> Command {
    defaults.iter().fold(command, |command, default| {
        let values = default.values.clone();
        command.mut_arg(&default.flag, move |flag| flag.default_values(values))
    })
}

/// The values of environment variables under other names than today's, and a warning for each that has been renamed.
/// `variable` reads one.
pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> (Vec<Default>, Vec<String>) {
    let (mut defaults, mut warnings) = (Vec::new(), Vec::new());
    for (flag, own, other) in OTHER_VARIABLES {
        if let (None, Some(value)) = (variable(own), variable(other).filter(|value| !value.is_empty())) {
            defaults.push(Default { flag: flag.to_owned(), values: vec![value], source: other.to_owned() });
        }
    }
    for entry in RENAMED {
        let Some(value) = variable(entry.old_variable) else { continue };
        let (old, new) = (entry.old_variable, entry.new_variable);
        warnings.push(format!("{old} is now {new}; the old name will be removed in the next version"));
        if variable(new).is_none() {
            let flag = entry.new_flag.replace('-', "_");
            defaults.push(Default { flag, values: vec![value + entry.unit], source: old.to_owned() });
        }
    }
    (defaults, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> (Vec<(String, String)>, usize) {
        let read =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let (defaults, warnings) = of_environment(read);
        (defaults.into_iter().map(|default| (default.flag, default.values.concat())).collect(), warnings.len())
    }

    #[test]
    fn an_old_variable_sets_the_renamed_flag_and_warns() {
        assert_eq!(
            found(&[("KULTA_PLUGIN_COMPILE_MEMORY_MIB", "512")]),
            (vec![("plugin_compile_memory".into(), "512Mi".into())], 1)
        );
    }

    #[test]
    fn todays_variable_wins_over_the_old_one_which_is_reported_all_the_same() {
        assert_eq!(found(&[("KULTA_METRICS_DENY", "10.0.0.0/8"), ("KULTA_ANALYSIS_DENY", "")]), (vec![], 1));
    }

    #[test]
    fn lower_case_proxy_variables_count_below_the_others() {
        let lower = ("https_proxy", "http://low:1");

        assert_eq!(found(&[lower]), (vec![("https_proxy".into(), "http://low:1".into())], 0));
        assert_eq!(found(&[lower, ("HTTPS_PROXY", "http://up:1")]), (vec![], 0));
    }
}
