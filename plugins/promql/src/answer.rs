//! Reads a server's answer.

use kulta_plugin::Error;
use kulta_plugin::fetch::{Answer, Response};
use kulta_plugin::number;
use kulta_plugin::text::shortened;
use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer, IgnoredAny, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// Limit of numbers per answer. A larger answer is a query without an aggregation; further numbers are only counted for
/// the error.
pub const MAX_NUMBERS: usize = 10_000;

/// Bytes of the server's message that fit into a measurement's message.
const ERROR_BYTES: usize = 512;

/// `L` is the type of a sample's labels: `IgnoredAny` drops them.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply<L> {
    pub data: Data<L>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Data<L> {
    Scalar(f64),
    Vector(Vec<Sample<L>>),
    /// All numbers of a range query, series after series.
    Matrix(Vec<f64>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sample<L> {
    pub labels: L,
    pub value: f64,
}

impl<L> Data<L> {
    /// The value as JSON, as Argo Rollouts writes it: `0.95`, `[0.95,1]`.
    pub fn to_json(&self) -> String {
        let list = |numbers: &mut dyn Iterator<Item = f64>| {
            let texts: Vec<String> = numbers.map(number::to_json).collect();
            format!("[{}]", texts.join(","))
        };
        match self {
            Self::Scalar(value) => number::to_json(*value),
            Self::Vector(samples) => list(&mut samples.iter().map(|sample| sample.value)),
            Self::Matrix(values) => list(&mut values.iter().copied()),
        }
    }
}

/// Reads an answer. An invalid one is `unavailable`, with a short reason.
pub fn read<L: DeserializeOwned>(answer: &Answer) -> Result<Reply<L>, Error> {
    let response = answer.as_ref().map_err(|failure| Error::from(failure.clone()))?;
    if !response.is_success() {
        return Err(refusal(response));
    }
    let body: Body<L> = serde_json::from_slice(&response.body)
        .map_err(|error| unavailable(format!("the answer is not Prometheus's: {error}: {}", response.excerpt())))?;
    match body {
        Body { status: Status::Success, data: Some(data), warnings, .. } => {
            Ok(Reply { data: data.try_into()?, warnings })
        }
        Body { status: Status::Success, data: None, .. } => Err(unavailable("the answer holds no data".into())),
        Body { status: Status::Error, error_type, error, .. } => Err(server_error(&error_type, &error)),
    }
}

/// Prometheus explains an error in its usual JSON; a proxy does not.
fn refusal(response: &Response) -> Error {
    match serde_json::from_slice::<Body<IgnoredAny>>(&response.body) {
        Ok(Body { status: Status::Error, error_type, error, .. }) => server_error(&error_type, &error),
        _ => unavailable(format!("the server answered {}: {}", response.status, response.excerpt())),
    }
}

/// Argo Rollouts' wording.
fn server_error(kind: &str, message: &str) -> Error {
    unavailable(shortened(&format!("{kind}: {message}"), ERROR_BYTES))
}

fn unavailable(message: String) -> Error {
    Error::Unavailable(message)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "L: DeserializeOwned")]
struct Body<L> {
    status: Status,
    data: Option<RawData<L>>,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Success,
    Error,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase", bound = "L: DeserializeOwned")]
enum RawData<L> {
    Scalar(Point),
    Vector(Capped<RawSample<L>>),
    Matrix(Capped<Series>),
    String(IgnoredAny),
}

impl<L> TryFrom<RawData<L>> for Data<L> {
    type Error = Error;

    fn try_from(raw: RawData<L>) -> Result<Self, Error> {
        match raw {
            RawData::Scalar(Point(_, Number(value))) => Ok(Self::Scalar(value)),
            RawData::String(_) => Err(unavailable("Prometheus metric type not supported".into())),
            RawData::Vector(samples) => {
                let count = samples.count;
                let samples: Option<Vec<_>> = samples.kept.into_iter().map(RawSample::value).collect();
                let samples = samples.ok_or_else(histograms)?;
                within(count, count).map(|()| Self::Vector(samples))
            }
            RawData::Matrix(series) => {
                if series.kept.iter().any(|series| series.histograms.is_some()) {
                    return Err(histograms());
                }
                let total = series.kept.iter().map(|series| series.values.count).fold(0, usize::saturating_add);
                within(total.max(series.count), series.count)?;
                let points = series.kept.into_iter().flat_map(|series| series.values.kept);
                Ok(Self::Matrix(points.map(|Point(_, Number(value))| value).collect()))
            }
        }
    }
}

fn within(numbers: usize, series: usize) -> Result<(), Error> {
    if numbers <= MAX_NUMBERS {
        return Ok(());
    }
    Err(unavailable(format!(
        "the query answers {series} series with {numbers} numbers, at most {MAX_NUMBERS} are read: \
         aggregate it, for example with sum()"
    )))
}

fn histograms() -> Error {
    unavailable("the query answers native histograms: take a quantile or a count of them".into())
}

#[derive(Deserialize)]
#[serde(bound = "L: DeserializeOwned")]
struct RawSample<L> {
    metric: L,
    /// `None` for a native histogram.
    value: Option<Point>,
}

impl<L> RawSample<L> {
    fn value(self) -> Option<Sample<L>> {
        let Point(_, Number(value)) = self.value?;
        Some(Sample { labels: self.metric, value })
    }
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    values: Capped<Point>,
    histograms: Option<IgnoredAny>,
}

/// A time, which is ignored, and the number as text.
#[derive(Deserialize)]
struct Point(IgnoredAny, Number);

struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number as text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A list that keeps its first [`MAX_NUMBERS`] entries and counts the others.
struct Capped<T> {
    kept: Vec<T>,
    count: usize,
}

impl<T> Default for Capped<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), count: 0 }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Capped<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = Capped<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Capped<T>, A::Error> {
                let mut read = Capped::default();
                while read.count < MAX_NUMBERS {
                    let Some(entry) = list.next_element()? else { return Ok(read) };
                    read.kept.push(entry);
                    read.count += 1;
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    read.count += 1;
                }
                Ok(read)
            }
        }
        deserializer.deserialize_seq(List(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kulta_plugin::fetch::Failure;
    use kulta_plugin::testing::respond;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn read_body(body: &str) -> Result<Reply<IgnoredAny>, Error> {
        read(&respond(200, body))
    }

    fn value_of(result: &str) -> String {
        read_body(&format!(r#"{{"status":"success","data":{result}}}"#)).unwrap().data.to_json()
    }

    fn reason_of(answer: &Answer) -> String {
        match read::<IgnoredAny>(answer) {
            Err(Error::Unavailable(message)) => message,
            other => panic!("expected unavailable, got {other:?}"),
        }
    }

    #[test]
    fn values_are_written_as_argo_rollouts_does() {
        for (result, value) in [
            (r#"{"resultType":"scalar","result":[1767225600,"10"]}"#, "10"),
            (r#"{"resultType":"vector","result":[]}"#, "[]"),
            (r#"{"resultType":"vector","result":[{"metric":{},"value":[1.5,"0.95"]}]}"#, "[0.95]"),
            (
                r#"{"result":[{"metric":{"a":"b"},"value":[1,"1"]},{"metric":{},"value":[1,"1e3"]}],"resultType":"vector"}"#,
                "[1,1000]",
            ),
            (
                r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"11"],[2,"12"]]},{"metric":{},"values":[[1,"13"]]}]}"#,
                "[11,12,13]",
            ),
        ] {
            assert_eq!(value_of(result), value, "{result}");
        }
    }

    #[test]
    fn infinities_and_nan_are_kept() {
        let result = r#"{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]},{"metric":{},"value":[1,"+Inf"]},{"metric":{},"value":[1,"-Inf"]}]}"#;
        assert_eq!(value_of(result), r#"["NaN","+Inf","-Inf"]"#);
    }

    #[test]
    fn labels_are_kept_on_request() {
        let body =
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"pod":"a"},"value":[1,"2"]}]}}"#;
        let reply: Reply<BTreeMap<String, String>> = read(&respond(200, body)).unwrap();
        let labels = BTreeMap::from([("pod".to_owned(), "a".to_owned())]);
        assert_eq!(reply.data, Data::Vector(vec![Sample { labels, value: 2.0 }]));
    }

    #[test]
    fn warnings_come_with_the_answer() {
        let body =
            r#"{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["slow"],"infos":["x"]}"#;
        assert_eq!(read_body(body).unwrap().warnings, ["slow"]);
    }

    #[test]
    fn an_invalid_answer_is_unavailable_with_a_short_reason() {
        let page = format!("<html>{}</html>", "x".repeat(10_000));
        for (answer, start) in [
            (Err(Failure::Timeout), "the request timed out"),
            (Err(Failure::TooLarge(2_097_152)), "the answer is larger than the limit of 2097152 bytes"),
            (
                respond(400, r#"{"status":"error","errorType":"bad_data","error":"1:5: parse error"}"#),
                "bad_data: 1:5: parse error",
            ),
            (respond(200, r#"{"status":"error","errorType":"timeout","error":"slow"}"#), "timeout: slow"),
            (respond(503, "Service Unavailable"), "the server answered 503: Service Unavailable"),
            (respond(401, ""), "the server answered 401: an empty body"),
            (respond(200, &page), "the answer is not Prometheus's: expected value at line 1 column 1: <html>xxx"),
            (respond(200, r#"{"status":"success""#), "the answer is not Prometheus's: EOF"),
            (respond(200, r#"{"status":"success"}"#), "the answer holds no data"),
            (
                respond(200, r#"{"status":"success","data":{"resultType":"string","result":[1,"x"]}}"#),
                "Prometheus metric type not supported",
            ),
            (
                respond(
                    200,
                    r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}"#,
                ),
                "the query answers native histograms",
            ),
            (
                respond(
                    200,
                    r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"ten"]}]}}"#,
                ),
                "the answer is not Prometheus's: invalid value: string \"ten\"",
            ),
        ] {
            let reason = reason_of(&answer);
            assert!(reason.starts_with(start), "{start}: {reason}");
            assert!(reason.len() <= 600, "{} bytes", reason.len());
        }
    }

    #[test]
    fn too_many_series_are_counted_and_not_kept() {
        let samples = vec![r#"{"metric":{"pod":"a"},"value":[1,"2"]}"#; 1_000_000].join(",");
        let body = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{samples}]}}}}"#);
        let reason = reason_of(&respond(200, &body));
        assert!(reason.starts_with("the query answers 1000000 series with 1000000 numbers"), "{reason}");
    }

    #[test]
    fn too_many_points_are_counted_over_all_series() {
        let points = vec![r#"[1,"2"]"#; 6_000].join(",");
        let series = format!(r#"{{"metric":{{}},"values":[{points}]}}"#);
        let body = format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series},{series}]}}}}"#);
        let reason = reason_of(&respond(200, &body));
        assert!(reason.starts_with("the query answers 2 series with 12000 numbers"), "{reason}");
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused_in_few_words(
            status in prop::sample::select(vec![200u16, 204, 400, 503]),
            kind in prop::sample::select(vec!["scalar", "vector", "matrix", "string", "x"]),
            result in "[\\[\\]{}:,0-9\"a-z]{0,40}",
            cut in 0usize..200,
        ) {
            let body = format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#);
            let body: String = body.chars().take(cut).collect();
            if let Err(error) = read::<IgnoredAny>(&respond(status, &body)) {
                let Error::Unavailable(reason) = error else { panic!("not unavailable") };
                prop_assert!(reason.len() <= 600, "{}", reason);
            }
        }
    }
}
