//! Compares with recorded answers of a real Prometheus to the same queries over the same samples
//! (`prometheus/record.sh`), so that this test needs no Prometheus.

#[cfg(test)]
mod tests {
    use std::sync::{Arc, RwLock};

    use axum::{
        Router,
        body::{self, Body},
        http::Request,
    };
    use jiff::{SignedDuration, Timestamp};
    use kulta_embedded::{
        clock::Clock,
        metrics::{Labels, Store, http},
    };
    use serde_json::Value;
    use tower::ServiceExt;

    const SAMPLES: &str = include_str!("prometheus/samples.om");
    const ANSWERS: &str = include_str!("prometheus/answers.jsonl");
    /// Sums in another order differ in their last bits.
    const TOLERANCE: f64 = 1e-9;

    #[tokio::test(start_paused = true)]
    async fn every_query_is_answered_as_prometheus_answers_it() {
        let api = http::router(Arc::new(RwLock::new(samples())), Clock::starting_at(Timestamp::UNIX_EPOCH));
        let mut differences = Vec::new();
        let mut asked = 0;

        for line in ANSWERS.lines() {
            let recorded: Value = serde_json::from_str(line).unwrap();
            let answer = ask(&api, &recorded).await;
            asked += 1;
            if let Err(difference) = same(&recorded, answer) {
                differences.push(format!("{} {}: {difference}", recorded["path"], recorded["asked"]));
            }
        }

        assert!(asked > 500, "only {asked} queries");
        assert!(differences.is_empty(), "{} of {asked} differ:\n{}", differences.len(), differences.join("\n"));
    }

    async fn ask(api: &Router, recorded: &Value) -> (u64, Value) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in recorded["asked"].as_object().unwrap() {
            form.append_pair(name, value.as_str().unwrap());
        }
        let target = format!("/api/v1/{}?{}", recorded["path"].as_str().unwrap(), form.finish());
        let response = api.clone().oneshot(Request::get(target).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (u64::from(status), serde_json::from_slice(&bytes).unwrap())
    }

    /// Series in any order, numbers within the tolerance; for an error its status and type, because messages differ.
    fn same(recorded: &Value, (status, answer): (u64, Value)) -> Result<(), String> {
        let expected = &recorded["answer"];
        let alike = recorded["status"] == status
            && expected["errorType"] == answer["errorType"]
            && expected["data"]["resultType"] == answer["data"]["resultType"]
            && close(&sorted(&expected["data"]["result"]), &sorted(&answer["data"]["result"]));
        if alike { Ok(()) } else { Err(format!("expected {expected}, found {status} {answer}")) }
    }

    fn sorted(result: &Value) -> Value {
        let Some(series) = result.as_array().filter(|series| series.iter().all(Value::is_object)) else {
            return result.clone();
        };
        let mut series = series.clone();
        series.sort_by_key(|one| one["metric"].to_string());
        Value::Array(series)
    }

    fn close(left: &Value, right: &Value) -> bool {
        match (left, right) {
            (Value::Array(left), Value::Array(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(left, right)| close(left, right))
            }
            (Value::Object(left), Value::Object(right)) => {
                left.len() == right.len()
                    && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| close(value, other)))
            }
            (Value::String(left), Value::String(right)) if left != right => match (left.parse(), right.parse()) {
                (Ok(left), Ok(right)) => near(left, right),
                _ => false,
            },
            (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
            _ => left == right,
        }
    }

    fn near(left: f64, right: f64) -> bool {
        (left - right).abs() <= TOLERANCE * left.abs().max(right.abs())
    }

    /// `name{label="value",…} number second`, one sample a line.
    fn samples() -> Store {
        let mut store = Store::new(SignedDuration::from_hours(1));
        for line in SAMPLES.lines().filter(|line| !line.starts_with('#')) {
            let (name, rest) = line.split_once('{').unwrap();
            let (pairs, rest) = rest.split_once("} ").unwrap();
            let (value, second) = rest.split_once(' ').unwrap();
            let labels = pairs.split("\",").fold(Labels::metric(name), |labels, pair| {
                let (key, value) = pair.trim_end_matches('"').split_once("=\"").unwrap();
                labels.with(key, value)
            });
            let at = Timestamp::from_second(second.parse().unwrap()).unwrap();
            store.append(&labels, at, value.parse().unwrap()).unwrap();
        }
        store
    }
}
