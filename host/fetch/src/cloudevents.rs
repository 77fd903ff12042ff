//! A CloudEvent as an HTTP request: the HTTP protocol binding of CloudEvents 1.0. The SDK's own binding does not
//! percent-encode, and needs another version of reqwest.

use cloudevents::Event;
use cloudevents::event::SpecVersion;
use cloudevents::message::{
    BinaryDeserializer, BinarySerializer, MessageAttributeValue, Result, StructuredDeserializer, StructuredSerializer,
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::sink::CdEventHttp;

const CONTENT_TYPE: &str = "content-type";
/// Content type of a request whose body is the whole CloudEvent.
const STRUCTURED: &str = "application/cloudevents+json";
/// Prefix of an attribute's header.
const PREFIX: &str = "ce-";
/// The attribute that is the content type in binary mode.
const DATA_CONTENT_TYPE: &str = "datacontenttype";
/// RFC 3339 in whole seconds, as in the body of a CDEvent.
const TIME_FORMAT: &str = "%Y-%m-%dT%H:%M:%SZ";
/// Characters that the binding percent-encodes in a header's value, in addition to non-ASCII ones.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// The content mode: where the attributes of a CloudEvent are in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloudEventsMode {
    /// In headers; the body is the event's data.
    #[default]
    Binary,
    /// In the body, together with the data.
    Structured,
}

impl CdEventHttp {
    /// # Errors
    /// If the event cannot be written as JSON.
    pub fn of(event: Event, mode: CloudEventsMode) -> Result<Self> {
        match mode {
            CloudEventsMode::Binary => event.deserialize_binary(Request::default()),
            CloudEventsMode::Structured => event.deserialize_structured(Request::default()),
        }
    }
}

/// A request under construction.
#[derive(Default)]
struct Request {
    headers: Vec<(String, String)>,
}

impl Request {
    fn with(mut self, name: String, value: &str) -> Self {
        self.headers.push((name, utf8_percent_encode(value, ENCODED).to_string()));
        self
    }

    fn with_body(self, body: Vec<u8>) -> CdEventHttp {
        CdEventHttp { headers: self.headers, body: body.into() }
    }
}

impl BinarySerializer<CdEventHttp> for Request {
    fn set_spec_version(self, version: SpecVersion) -> Result<Self> {
        Ok(self.with(format!("{PREFIX}specversion"), version.as_str()))
    }

    fn set_attribute(self, name: &str, value: MessageAttributeValue) -> Result<Self> {
        let value = match value {
            MessageAttributeValue::DateTime(time) => time.format(TIME_FORMAT).to_string(),
            other => other.to_string(),
        };
        let name = if name == DATA_CONTENT_TYPE { CONTENT_TYPE.to_owned() } else { format!("{PREFIX}{name}") };
        Ok(self.with(name, &value))
    }

    fn set_extension(self, name: &str, value: MessageAttributeValue) -> Result<Self> {
        Ok(self.with(format!("{PREFIX}{name}"), &value.to_string()))
    }

    fn end_with_data(self, data: Vec<u8>) -> Result<CdEventHttp> {
        Ok(self.with_body(data))
    }

    fn end(self) -> Result<CdEventHttp> {
        Ok(self.with_body(Vec::new()))
    }
}

impl StructuredSerializer<CdEventHttp> for Request {
    fn set_structured_event(self, event: Vec<u8>) -> Result<CdEventHttp> {
        Ok(self.with(CONTENT_TYPE.to_owned(), STRUCTURED).with_body(event))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cloudevents::{EventBuilder, EventBuilderV10};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn event(subject: &str) -> Event {
        EventBuilderV10::new()
            .id("7")
            .source("/clusters/eu-1/kulta")
            .ty("dev.cdevents.service.upgraded.0.3.0")
            .subject(subject)
            .time("2027-01-15T08:00:00Z")
            .data("application/json", json!({ "context": { "id": "7" } }))
            .build()
            .unwrap()
    }

    fn headers(request: &CdEventHttp) -> BTreeMap<&str, &str> {
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn binary_mode_has_the_attributes_in_headers_and_the_data_as_the_body() {
        let request = CdEventHttp::of(event("shop/checkout"), CloudEventsMode::Binary).unwrap();

        assert_eq!(
            headers(&request),
            BTreeMap::from([
                ("content-type", "application/json"),
                ("ce-specversion", "1.0"),
                ("ce-id", "7"),
                ("ce-source", "/clusters/eu-1/kulta"),
                ("ce-type", "dev.cdevents.service.upgraded.0.3.0"),
                ("ce-subject", "shop/checkout"),
                ("ce-time", "2027-01-15T08:00:00Z"),
            ])
        );
        assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap(), json!({ "context": { "id": "7" } }));
    }

    #[test]
    fn structured_mode_has_everything_in_the_body() {
        let request = CdEventHttp::of(event("shop/a b"), CloudEventsMode::Structured).unwrap();

        assert_eq!(headers(&request), BTreeMap::from([("content-type", "application/cloudevents+json")]));
        assert_eq!(
            serde_json::from_slice::<Value>(&request.body).unwrap(),
            json!({
                "specversion": "1.0",
                "id": "7",
                "source": "/clusters/eu-1/kulta",
                "type": "dev.cdevents.service.upgraded.0.3.0",
                "subject": "shop/a b",
                "time": "2027-01-15T08:00:00Z",
                "datacontenttype": "application/json",
                "data": { "context": { "id": "7" } },
            })
        );
    }

    #[test]
    fn header_values_are_percent_encoded_where_http_needs_it() {
        let request = CdEventHttp::of(event("shop/a \"b\" 100% é\n€"), CloudEventsMode::Binary).unwrap();

        assert_eq!(headers(&request)["ce-subject"], "shop/a%20%22b%22%20100%25%20%C3%A9%0A%E2%82%AC");
    }

    proptest! {
        #[test]
        fn whatever_the_subject_header_values_are_printable_ascii(subject in any::<String>()) {
            for (name, value) in CdEventHttp::of(event(&subject), CloudEventsMode::Binary).unwrap().headers {
                prop_assert!(value.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{name}: {value:?}");
            }
        }
    }
}
