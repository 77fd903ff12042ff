//! Builds CDEvents from transitions. The specification's schemas are in `CDEVENTS_SCHEMAS`, else next to the
//! repository.

#[cfg(test)]
mod analyses;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod contents;
#[cfg(test)]
mod images;
#[cfg(test)]
mod links;
#[cfg(test)]
mod support;
