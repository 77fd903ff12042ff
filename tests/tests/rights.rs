//! Checks all requests of the shipped ServiceAccount in this cluster: its permissions are sufficient, and none is
//! unused.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use kulta_tests::{api, audit::Audit, environment::Environment, run_folder};
use serde_json::Value;

const ACCOUNT: &str = "system:serviceaccount:kulta-system:kulta";
/// The API server's admission checks this permission for owners with blockOwnerDeletion; no request shows it. (The test
/// cluster enforces it, so creating a ReplicaSet fails without the permission.)
const ASKED_BY_ADMISSION: (&str, &str, &str) = ("argoproj.io", "rollouts/finalizers", "update");

/// Permissions that are not shipped cluster-wide: scenarios cause denied requests to test the error messages.
const OPTIONAL: [(&str, &str); 2] = [("", "secrets"), ("batch", "jobs")];

type Right = (String, String, String);

fn granted() -> Result<BTreeSet<Right>> {
    let path = run_folder::repository().join("deploy/rbac.yaml");
    let yaml = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let texts = |rule: &Value, key: &str| -> Vec<String> {
        let list = rule.get(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut granted = BTreeSet::new();
    for document in api::documents(&yaml)? {
        for rule in document.get("rules").and_then(Value::as_array).into_iter().flatten() {
            for group in texts(rule, "apiGroups") {
                for resource in texts(rule, "resources") {
                    for verb in texts(rule, "verbs") {
                        granted.insert((group.clone(), resource.clone(), verb));
                    }
                }
            }
        }
    }
    Ok(granted)
}

#[test]
#[ignore = "needs the audit log of all other scenarios: make cluster-test runs it last"]
fn the_shipped_permissions_are_sufficient_and_none_is_unused() -> Result<()> {
    let environment = Environment::find()?;
    let tally = Audit::from_the_start(&environment.audit_log).of_user(ACCOUNT)?;

    println!("{ACCOUNT}: {tally}");
    let refused =
        tally.forbidden().only(|request| !OPTIONAL.contains(&(request.group.as_str(), request.resource.as_str())));
    ensure!(refused.is_empty(), "refused for want of rights: {refused}");
    let used = tally.used();
    let idle: Vec<Right> = granted()?
        .into_iter()
        .filter(|(group, resource, verb)| (group.as_str(), resource.as_str(), verb.as_str()) != ASKED_BY_ADMISSION)
        .filter(|right| !used.contains(right))
        .collect();
    ensure!(idle.is_empty(), "granted and never used: {idle:?}");
    Ok(())
}
