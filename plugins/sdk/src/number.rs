//! Numbers in a measurement's value. JSON has no NaN and no infinity; they are the strings `"NaN"`, `"+Inf"` and `"-Inf"`,
//! as Prometheus writes them. The condition language turns them back into numbers where the value itself, or an element
//! of an array of nothing but numbers, is one.

const NAN: &str = "NaN";
const PLUS_INFINITY: &str = "+Inf";
const MINUS_INFINITY: &str = "-Inf";

/// The number as JSON: without exponent, a whole number without a point, as Argo Rollouts writes values.
pub fn to_json(number: f64) -> String {
    match special_text(number) {
        Some(text) => format!("\"{text}\""),
        None => number.to_string(),
    }
}

/// What `"NaN"`, `"+Inf"` and `"-Inf"` stand for.
pub fn special(text: &str) -> Option<f64> {
    match text {
        NAN => Some(f64::NAN),
        PLUS_INFINITY => Some(f64::INFINITY),
        MINUS_INFINITY => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn special_text(number: f64) -> Option<&'static str> {
    if number.is_nan() {
        Some(NAN)
    } else if number.is_infinite() {
        Some(if number > 0.0 { PLUS_INFINITY } else { MINUS_INFINITY })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_without_exponent() {
        for (number, json) in [
            (0.95, "0.95"),
            (1.0, "1"),
            (-0.5, "-0.5"),
            (1e21, "1000000000000000000000"),
            (1e-7, "0.0000001"),
            (f64::NAN, r#""NaN""#),
            (f64::INFINITY, r#""+Inf""#),
            (f64::NEG_INFINITY, r#""-Inf""#),
        ] {
            assert_eq!(to_json(number), json);
        }
    }

    #[test]
    fn nan_and_infinities_are_decoded() {
        assert!(special("NaN").is_some_and(f64::is_nan));
        assert_eq!(special("+Inf"), Some(f64::INFINITY));
        assert_eq!(special("-Inf"), Some(f64::NEG_INFINITY));
        assert_eq!(special("nan"), None);
    }
}
