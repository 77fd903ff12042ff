//! Reads counters from Prometheus' answer to a range query.

use crate::series::Counters;
use crate::span::Span;
use kulta_plugin::Error;
use kulta_plugin::fetch::{Answer, Response};
use serde::de::{self, IgnoredAny};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Labels that distinguish a histogram's bucket from its count, and not its requests.
const NOT_COMPARED: [&str; 2] = ["__name__", "le"];

/// Only the needed fields: `promql` reads any other answer and reports its error.
#[derive(Deserialize)]
struct Body {
    status: Success,
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Success {
    Success,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Matrix(Vec<Series>),
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    values: Vec<Point>,
}

/// Unix seconds, and the number, which is written as text.
#[derive(Deserialize)]
struct Point(f64, #[serde(deserialize_with = "number")] f64);

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let text: Cow<'de, str> = Deserialize::deserialize(deserializer)?;
    text.parse().map_err(|_| de::Error::custom("not a number as text"))
}

/// Reads the answer. The error describes the answer and does not name the query.
pub fn counters(answer: &Answer, span: &Span) -> Result<Counters, Error> {
    let series = match answer {
        Ok(response) if response.is_success() => matrix(response),
        _ => None,
    };
    let Some(series) = series else {
        promql::read::<IgnoredAny>(answer)?;
        return Err(Error::Unavailable("the server answered something else than a range query's series".into()));
    };
    let mut counters = Counters::new();
    for series in series {
        let labels = labels(&series.metric);
        let mut points = vec![None; span.points()];
        for Point(time, value) in series.values {
            if let Some(point) = span.point_at(time).and_then(|index| points.get_mut(index)) {
                *point = Some(value);
            }
        }
        if counters.insert(labels.clone(), points).is_some() {
            let problem = format!("two series have the labels {labels}: sum them by what tells them apart");
            return Err(Error::Unavailable(problem));
        }
    }
    Ok(counters)
}

fn matrix(response: &Response) -> Option<Vec<Series>> {
    let Body { status: Success::Success, data: Data::Matrix(series) } = serde_json::from_slice(&response.body).ok()?;
    Some(series)
}

fn labels(metric: &BTreeMap<String, String>) -> String {
    let compared = metric.iter().filter(|(name, _)| !NOT_COMPARED.contains(&name.as_str()));
    let labels: Vec<String> = compared.map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", labels.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kulta_plugin::fetch::Failure;
    use kulta_plugin::testing::respond;

    const SPAN: Span = Span { start: 1_767_225_590_000, step: 10_000, windows: 1 };

    fn matrix(series: &str) -> Answer {
        respond(200, &format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#))
    }

    fn problem(answer: &Answer) -> String {
        match counters(answer, &SPAN) {
            Err(Error::Unavailable(message)) => message,
            other => panic!("expected unavailable, got {other:?}"),
        }
    }

    #[test]
    fn points_are_placed_by_their_time() {
        let answer = matrix(
            r#"{"metric":{"pod":"a"},"values":[[1767225590,"17"],[1767225600,"21"]]},{"metric":{"pod":"b"},"values":[[1767225600,"3"]]}"#,
        );
        let expected = [
            ("{pod=\"a\"}".to_owned(), vec![Some(17.0), Some(21.0)]),
            ("{pod=\"b\"}".to_owned(), vec![None, Some(3.0)]),
        ];
        assert_eq!(counters(&answer, &SPAN), Ok(Counters::from(expected)));
    }

    #[test]
    fn a_bucket_and_a_count_of_the_same_pod_have_the_same_labels() {
        let bucket = matrix(r#"{"metric":{"__name__":"t_bucket","le":"0.3","pod":"a"},"values":[[1767225590,"1"]]}"#);
        let count = matrix(r#"{"metric":{"__name__":"t_count","pod":"a"},"values":[[1767225590,"1"]]}"#);
        assert_eq!(counters(&bucket, &SPAN), counters(&count, &SPAN));
    }

    #[test]
    fn an_answer_that_is_no_matrix_is_reported() {
        for (answer, text) in [
            (respond(200, "<html>login</html>"), "<html>login</html>"),
            (respond(502, "<html>bad gateway</html>"), "the server answered 502: <html>bad gateway</html>"),
            (
                respond(400, r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#),
                "bad_data: parse error",
            ),
            (
                respond(200, r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#),
                "something else than a range query's series",
            ),
            (respond(200, r#"{"status":"success"}"#), "holds no data"),
            (matrix(r#"{"metric":{},"values":[[1767225590,"many"]]}"#), "many"),
            (respond(200, ""), "an empty body"),
            (Err(Failure::Timeout), "timed out"),
            (
                matrix(r#"{"metric":{"le":"1"},"values":[]},{"metric":{"le":"2"},"values":[]}"#),
                "two series have the labels {}",
            ),
        ] {
            let message = problem(&answer);
            assert!(message.contains(text), "{message}");
        }
    }
}
