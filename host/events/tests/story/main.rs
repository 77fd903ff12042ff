//! Transitions in, CDEvents out. The specification's schemas are found in `CDEVENTS_SCHEMAS`, else beside the repository.

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
