//! `kulta crds`.

use std::io::Write;

use anyhow::{Context, Result};

pub fn print() -> Result<()> {
    let yaml = kulta_api::crd::crds_yaml().context("write the CRDs as YAML")?;
    std::io::stdout().write_all(yaml.as_bytes()).context("print the CRDs")
}
