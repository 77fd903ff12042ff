use crate::cluster::{Cluster, free_port};

/// The arguments of the Deployment that Argo Rollouts' Helm chart makes, with ports of this test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn argos_arguments_start_the_controller_with_argos_probes() {
    let cluster = Cluster::complete(&[]).await;
    let (metrics, healthz) = (free_port(), free_port());
    let [metrics_flag, healthz_flag] = [format!("--metricsport={metrics}"), format!("--healthzPort={healthz}")];
    let flags =
        [&healthz_flag, &metrics_flag, "--loglevel=info", "--logformat=text", "--kloglevel=0", "--leader-elect"];
    let mut kulta = cluster.kulta(&flags, &[]);

    kulta.page(metrics, "/readyz", |page| page.status == 200);
    let alive = kulta.page(healthz, "/healthz", |page| page.status == 200);
    let measured = kulta.page(metrics, "/metrics", |page| page.status == 200);

    assert_eq!(alive.body, "ok\n");
    assert!(measured.body.contains("# TYPE"), "{}", measured.body);
    let log = kulta.log();
    assert_eq!(log.matches("--kloglevel of Argo Rollouts has no effect here").count(), 1, "{log}");
    assert_eq!(log.matches("has no effect here").count(), 1, "{log}");
    assert_eq!(kulta.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_file_and_old_names_start_the_controller() {
    let cluster = Cluster::complete(&[]).await;
    let port = free_port();
    let file = cluster.kubeconfig.with_file_name("kulta.yaml");
    std::fs::write(&file, format!("listen: 127.0.0.1:{port}\nlogFormat: json\nleaderElect: false\n")).unwrap();
    let mut kulta = cluster.kulta(
        &["controller", "--config", file.to_str().unwrap()],
        &[("KULTA_METRICS_LOOPBACK", "yes"), ("KULTA_PLUGIN_ALLOW_TAGS", "1")],
    );

    kulta.page(port, "/readyz", |page| page.status == 200);

    let log = kulta.log();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let warnings: Vec<_> = lines.iter().filter(|line| line["level"] == "WARN").collect();
    assert!(
        warnings.iter().any(|line| {
            line["fields"]["message"]
                == "KULTA_METRICS_LOOPBACK is now KULTA_ANALYSIS_LOOPBACK; the old name will be removed in the next version"
        }),
        "{warnings:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubeconfig_of_a_flag_is_used() {
    let cluster = Cluster::complete(&[]).await;
    let port = free_port();
    let (kubeconfig, listen) = (cluster.kubeconfig.to_str().unwrap(), format!("127.0.0.1:{port}"));
    let flags = ["--kubeconfig", kubeconfig, "--context=test", "--listen", &listen];
    let mut kulta = cluster.kulta(&flags, &[("KUBECONFIG", "/nowhere")]);

    kulta.page(port, "/readyz", |page| page.status == 200);
}
