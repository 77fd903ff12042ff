use std::time::Duration;

use kulta_fetch::CloudEventsMode;

use super::*;

/// The flags of `kulta controller` that Argo Rollouts' controller has: `cmd/rollouts-controller/main.go` of version 1.9.2, and those of
/// client-go's kubeconfig that it adds.
const ARGO_1_9_2: &[&str] = &[
    "--rollout-resync=900",
    "--namespaced=false",
    "--loglevel=info",
    "--logformat=text",
    "--kloglevel=0",
    "--metricsPort=8090",
    "--metricsport=8090",
    "--healthzPort=8080",
    "--instance-id=",
    "--qps=40",
    "--burst=80",
    "--rollout-threads=10",
    "--experiment-threads=10",
    "--analysis-threads=30",
    "--service-threads=10",
    "--ingress-threads=10",
    "--ephemeral-metadata-threads=10",
    "--ephemeral-metadata-update-pod-retries=3",
    "--aws-target-group-binding-api-version=elbv2.k8s.aws/v1beta1",
    "--alb-tag-key-resource-id=ingress.k8s.aws/resource",
    "--istio-api-version=v1alpha3",
    "--ambassador-api-version=getambassador.io/v2",
    "--traffic-split-api-version=v1alpha1",
    "--traefik-api-group=traefik.containo.us",
    "--traefik-api-version=traefik.containo.us/v1alpha1",
    "--ingress-api-version=",
    "--appmesh-crd-version=v1beta2",
    "--alb-ingress-classes=alb",
    "--nginx-ingress-classes=nginx",
    "--alb-verify-weight=false",
    "--aws-verify-target-group=false",
    "--leader-elect=true",
    "--leader-election-lease-duration=15s",
    "--leader-election-renew-deadline=10s",
    "--leader-election-retry-period=2s",
    "--self-service-notification-enabled=false",
    "--controllers=",
    "--enable-pprof-address=",
    "--kubeconfig=/kubeconfig",
    "--namespace=argo-rollouts",
    "-n=argo-rollouts",
    "--context=a",
    "--cluster=a",
    "--user=a",
    "--request-timeout=0",
    "--disable-compression",
];
/// Those that would change which cluster is served, or what.
const ARGO_1_9_2_REFUSED: &[&str] = &[
    "--controllers=analysis",
    "--controllers=,analysis",
    "--server=https://a",
    "--certificate-authority=a",
    "--insecure-skip-tls-verify",
    "--tls-server-name=a",
    "--proxy-url=a",
    "--client-certificate=a",
    "--client-key=a",
    "--token=a",
    "--username=a",
    "--password=a",
    "--as=a",
    "--as-uid=a",
    "--as-group=a",
];

fn words(words: &[&str]) -> Vec<OsString> {
    std::iter::once("kulta").chain(words.iter().copied()).map(OsString::from).collect()
}

fn parsed(flags: &[&str]) -> (ControllerArguments, Vec<String>) {
    parsed_with(flags, &[]).unwrap()
}

fn parsed_with(flags: &[&str], variables: &[(&str, &str)]) -> Result<(ControllerArguments, Vec<String>), ParseError> {
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let Parsed { command, notices } = parse(words(flags), variable)?;
    let Command::Controller(arguments) = command else { panic!("the controller") };
    Ok((*arguments, notices))
}

fn error(flags: &[&str]) -> String {
    parsed_with(flags, &[]).err().unwrap().to_string()
}

fn file(name: &str, text: &str) -> String {
    let path = std::env::temp_dir().join(format!("{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_flags_are_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn every_flag_of_argo_rollouts_is_accepted_without_a_subcommand() {
    for flag in ARGO_1_9_2 {
        let parsed = parsed_with(&[flag], &[]);

        assert!(parsed.is_ok(), "{flag}: {}", parsed.err().unwrap());
    }
}

#[test]
fn a_flag_of_argo_without_a_meaning_is_reported_once_with_the_reason() {
    let (_, notices) = parsed(&["--qps=40", "--nginx-ingress-classes", "a", "--nginx-ingress-classes", "b"]);

    let [qps, classes] = notices.as_slice() else { panic!("{notices:?}") };
    assert!(qps.starts_with("--qps of Argo Rollouts has no effect here: "), "{qps}");
    assert!(classes.starts_with("--nginx-ingress-classes of Argo Rollouts has no effect here: "), "{classes}");
}

#[test]
fn a_flag_of_argo_that_would_change_what_is_served_is_refused_with_what_to_do() {
    for flag in ARGO_1_9_2_REFUSED {
        let name = flag.split('=').next().unwrap();

        let error = parsed_with(&[flag], &[]).err().unwrap();

        assert!(matches!(&error, ParseError::Contradiction(text) if text.starts_with(name)), "{error}");
    }
}

#[test]
fn an_empty_list_of_controllers_is_argos_default_and_nothing_to_report() {
    let (_, notices) = parsed(&["--controllers="]);

    assert!(notices.is_empty(), "{notices:?}");
}

#[test]
fn argos_names_set_the_same_as_kultas() {
    let (arguments, notices) = parsed(&[
        "--loglevel=warning",
        "--logformat=JSON",
        "--rollout-threads=12",
        "--instance-id=blue",
        "--leader-election-namespace=election",
        "--leader-election-lease-duration=1m",
        "--leader-elect",
    ]);

    assert_eq!(arguments.process.log_level, "warn");
    assert_eq!(arguments.process.log_format, LogFormat::Json);
    assert_eq!(arguments.process.workers, 12);
    assert_eq!(arguments.scope.instance_id().as_deref(), Some("blue"));
    assert_eq!(arguments.election.lease_namespace.as_deref(), Some("election"));
    assert_eq!(arguments.election.times().duration, Duration::from_mins(1));
    assert_eq!(arguments.election.leader_elect, LeaderElect::True);
    assert_eq!(notices, Vec::<String>::new());
}

#[test]
fn the_ports_of_argos_probes_are_served() {
    let addresses = |flags: &[&str], in_pod| -> Vec<String> {
        parsed(flags).0.process.addresses(in_pod).iter().map(ToString::to_string).collect()
    };

    assert_eq!(addresses(&["--metricsPort=8090", "--healthzPort=8080"], false), ["0.0.0.0:8090", "0.0.0.0:8080"]);
    assert_eq!(addresses(&["controller"], true), ["0.0.0.0:8090", "0.0.0.0:8080"]);
    assert_eq!(addresses(&["controller"], false), ["0.0.0.0:8090"]);
    assert_eq!(addresses(&["--healthz-port=0"], true), ["0.0.0.0:8090"]);
    assert_eq!(addresses(&["--listen=127.0.0.1:1", "--metrics-port=2", "--healthz-port=2"], true), ["127.0.0.1:2"]);
}

#[test]
fn namespaced_serves_the_given_namespace_or_the_controllers_own() {
    let served = |flags: &[&str]| parsed(flags).0.scope.served("own");

    assert_eq!(served(&["--namespaced"]), ["own"]);
    assert_eq!(served(&["--namespaced", "-n", "shop"]), ["shop"]);
    assert_eq!(served(&["--namespaces=a,b"]), ["a", "b"]);
    assert_eq!(served(&["--namespaced=false"]), Vec::<String>::new());
}

#[test]
fn a_namespace_without_namespaced_serves_all_and_says_so() {
    let (arguments, notices) = parsed(&["--namespace=shop"]);

    assert_eq!(arguments.scope.served("own"), Vec::<String>::new());
    assert!(notices.concat().contains("only with --namespaced"), "{notices:?}");
}

#[test]
fn an_unknown_flag_is_an_error_of_the_flags() {
    assert!(matches!(parsed_with(&["--no-such-flag"], &[]), Err(ParseError::Flags(_))));
}

#[test]
fn help_and_version_are_those_of_kulta() {
    for flag in ["--help", "-h", "--version", "-V"] {
        let Err(ParseError::Flags(error)) = parse(words(&[flag]), |_| None) else { panic!("{flag}") };

        assert_eq!(error.exit_code(), 0, "{flag}");
        assert!(!error.to_string().contains("--workers"), "{flag}");
    }
}

#[test]
fn help_comes_in_groups() {
    let help = controller_command().render_long_help().to_string();

    for group in
        ["What is served:", "Cluster:", "Events:", "Analyses:", "Plugins:", "Proxies:", "Process:", "Leader election:"]
    {
        assert!(help.contains(&format!("\n{group}\n")), "{group} is not in\n{help}");
    }
    assert!(!help.contains("--qps"), "{help}");
    assert!(help.contains("Exit codes:"), "{help}");
}

#[test]
fn contradictory_flags_are_rejected_whatever_they_come_from() {
    for (flags, expected) in [
        (&["--analysis-record=a", "--analysis-replay=b"][..], "exclude each other"),
        (&["--namespaced", "--namespaces=a"], "exclude each other"),
        (&["--pod-name=a"], "--pod-uid"),
        (&["--leader-election-renew-deadline=15s"], "must be less than --leader-election-lease-duration (15s)"),
        (&["--leader-election-retry-period=10s"], "must be less than --leader-election-renew-deadline (10s)"),
    ] {
        let error = error(flags);

        assert!(error.contains(expected), "{flags:?}: {error}");
    }
}

#[test]
fn switches_take_a_value_or_none() {
    let loopback = |flags: &[&str]| parsed(flags).0.analyses.analysis_loopback;

    assert_eq!(
        [&["controller"][..], &["--analysis-loopback"], &["--analysis-loopback=no"]].map(loopback),
        [false, true, false]
    );
}

#[test]
fn old_spellings_work_with_a_warning() {
    let (arguments, notices) = parsed(&["--metrics-deny=10.0.0.0/8", "--plugin-compile-memory-mib=512"]);

    assert_eq!(arguments.analyses.analysis_deny, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(arguments.plugins.plugin_compile_memory.mebibytes(), 512);
    assert_eq!(notices.len(), 2);
}

#[test]
fn old_variables_work_with_a_warning() {
    let variables = [("KULTA_METRICS_LOOPBACK", "1"), ("KULTA_METRICS_DENY", "10.0.0.0/8,10.1.0.0/16")];

    let (arguments, notices) = parsed_with(&["controller"], &variables).unwrap();

    assert!(arguments.analyses.analysis_loopback);
    assert_eq!(arguments.analyses.analysis_deny.len(), 2);
    assert_eq!(notices.len(), 2);
}

#[test]
fn an_invalid_value_of_an_old_variable_names_the_variable() {
    let error = parsed_with(&["controller"], &[("KULTA_METRICS_LOOPBACK", "maybe")]).err().unwrap().to_string();

    assert!(error.starts_with("KULTA_METRICS_LOOPBACK: ") && error.contains("maybe"), "{error}");
}

#[test]
fn flags_win_over_the_file_and_the_file_over_the_default() {
    let path = file("order.yaml", "workers: 3\nlogLevel: debug\nanalysisDeny: [10.0.0.0/8, 10.1.0.0/16]\n");

    let (arguments, _) = parsed(&["--config", &path, "--workers=5"]);

    assert_eq!(arguments.process.workers, 5);
    assert_eq!(arguments.process.log_level, "debug");
    assert_eq!(arguments.analyses.analysis_deny.len(), 2);
}

#[test]
fn variables_win_over_the_file() {
    let path = file("variables.yaml", "analysisDeny: 10.0.0.0/8\n");

    let (arguments, _) = parsed_with(&["--config", &path], &[("KULTA_METRICS_DENY", "10.1.0.0/16")]).unwrap();

    assert_eq!(arguments.analyses.analysis_deny, ["10.1.0.0/16".parse().unwrap()]);
}

#[test]
fn an_invalid_value_of_the_file_names_file_and_key() {
    let path = file("invalid.yaml", "logFormat: text\nworkers: many\n");

    let error = error(&["--config", &path]);

    assert!(error.starts_with(&format!("{path}: workers: ")) && error.contains("many"), "{error}");
}

#[test]
fn contradictions_within_the_file_are_rejected() {
    let path = file("contradiction.yaml", "analysisRecord: a\nanalysisReplay: b\n");

    assert!(error(&["--config", &path]).contains("exclude each other"));
}

#[test]
fn a_missing_file_is_named() {
    let error = parsed_with(&["--config=/nowhere/kulta.yaml"], &[]).err().unwrap();

    assert!(matches!(&error, ParseError::Config(_)) && error.to_string().contains("/nowhere/kulta.yaml"), "{error}");
}

#[test]
fn a_controller_outside_a_pod_uses_no_election_by_default() {
    assert_eq!(
        [LeaderElect::Auto, LeaderElect::True, LeaderElect::False].map(|elect| elect.wanted(false)),
        [false, true, false]
    );
}

#[test]
fn the_deployment_names_the_pod_and_its_uid_to_the_controller() {
    let controller = controller_command();
    let known = |name: &str| controller.get_arguments().any(|flag| flag.get_env().is_some_and(|env| env == name));
    let manifest = include_str!("../../../../deploy/controller.yaml");
    let document = serde_yaml::Deserializer::from_str(manifest).next().unwrap();
    let deployment: serde_json::Value = serde::Deserialize::deserialize(document).unwrap();
    let variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();

    let fields: Vec<(bool, &str)> = variables
        .iter()
        .map(|variable| {
            let (name, field) = (&variable["name"], &variable["valueFrom"]["fieldRef"]["fieldPath"]);
            (known(name.as_str().unwrap()), field.as_str().unwrap())
        })
        .collect();

    assert_eq!(fields, [(true, "metadata.name"), (true, "metadata.uid")]);
}

#[test]
fn events_are_sent_in_binary_mode_by_default() {
    let mode = |flags: &[&str]| CloudEventsMode::from(parsed(flags).0.events.cdevents_mode);

    assert_eq!(
        [mode(&["controller"]), mode(&["--cdevents-mode", "structured"])],
        [CloudEventsMode::Binary, CloudEventsMode::Structured]
    );
}

#[test]
fn zero_workers_are_rejected() {
    assert!(error(&["--workers", "0"]).contains("--workers"));
}

/// The scenarios' controllers inherit these.
#[test]
fn no_flag_has_a_variable_that_the_test_cluster_sets() {
    let controller = controller_command();
    let variables: Vec<_> = controller.get_arguments().filter_map(|flag| flag.get_env()).collect();

    for taken in
        ["KULTA_CLUSTER", "KULTA_RUN_FOLDER", "KULTA_AUDIT_LOG", "KULTA_GATEWAY", "KULTA_PROMETHEUS", "KULTA_BIN"]
    {
        assert!(!variables.iter().any(|variable| *variable == taken), "{taken}");
    }
}
