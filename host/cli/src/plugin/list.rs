//! `kulta plugin list`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use kulta_api::plugin::{Plugin, READY};
use kulta_wasm::Kind;

use super::arguments::ListArguments;
use super::load;
use super::table::table;

const COLUMNS: [&str; 6] = ["NAME", "KINDS", "VERSION", "READY", "REASON", "DIGEST"];
const BUILT_IN_COLUMNS: [&str; 4] = ["NAME", "KIND", "VERSION", "DIGEST"];
/// Shown for an unknown value.
const NONE: &str = "-";

/// # Errors
/// If the cluster cannot be reached, or a built-in plugin cannot be loaded.
pub async fn list(arguments: &ListArguments, out: &mut dyn Write) -> Result<ExitCode> {
    let rows = if arguments.built_in { built_in().await? } else { of_the_cluster().await? };
    out.write_all(table(&rows).as_bytes()).context("print the table")?;
    Ok(ExitCode::SUCCESS)
}

async fn built_in() -> Result<Vec<Vec<String>>> {
    let plugins = load::runtime()?;
    let mut rows = vec![BUILT_IN_COLUMNS.map(str::to_owned).to_vec()];
    for kind in Kind::ALL {
        for name in plugins.names(kind) {
            let (version, digest) = match kind {
                Kind::Strategy => of(&**plugins.strategy(&name).await?),
                Kind::Analyzer => of(&**plugins.analyzer(&name).await?),
                Kind::Enricher => of(&**plugins.enricher(&name).await?),
                Kind::Step => of(&**plugins.step(&name).await?),
                Kind::Condition => of(&**plugins.condition(&name).await?),
            };
            rows.push(vec![name, kind.as_str().to_owned(), version, digest]);
        }
    }
    Ok(rows)
}

fn of(plugin: &kulta_wasm::Plugin) -> (String, String) {
    (plugin.info().version.clone(), plugin.digest().to_owned())
}

async fn of_the_cluster() -> Result<Vec<Vec<String>>> {
    let config = kube::Config::infer().await.context("find a cluster: set KUBECONFIG; --built-in needs none")?;
    let client = kube::Client::try_from(config).context("make a client for the cluster")?;
    let plugins = match Api::<Plugin>::all(client).list(&ListParams::default()).await {
        Ok(plugins) => plugins,
        Err(kube::Error::Api(status)) if status.code == http::StatusCode::NOT_FOUND.as_u16() => {
            bail!("the cluster has no CRD for Plugin objects; run: kulta crds | kubectl apply --server-side -f -")
        }
        Err(error) => return Err(error).context("list the cluster's Plugin objects"),
    };
    let mut rows = vec![COLUMNS.map(str::to_owned).to_vec()];
    rows.extend(plugins.iter().map(row));
    Ok(rows)
}

fn row(plugin: &Plugin) -> Vec<String> {
    let status = plugin.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().find(|condition| condition.type_ == READY);
    let known = |text: String| if text.is_empty() { NONE.to_owned() } else { text };
    vec![
        plugin.name_any(),
        known(status.kinds.join(",")),
        known(status.version),
        known(ready.map(|ready| ready.status.clone()).unwrap_or_default()),
        known(ready.map(|ready| ready.reason.clone()).unwrap_or_default()),
        known(status.digest),
    ]
}
