//! A registry's request for authentication: the header `WWW-Authenticate`.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A token from the service at `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
    Basic,
    /// Other schemes that the registry accepts; empty if it names none.
    Unknown(String),
}

impl Challenge {
    /// A token is preferred, so that the password is not sent with each request.
    pub fn of(headers: &HeaderMap) -> Self {
        let texts = headers.get_all(WWW_AUTHENTICATE).into_iter().filter_map(|value| value.to_str().ok());
        let challenges: Vec<_> = texts.flat_map(|text| http_auth::parse_challenges(text).unwrap_or_default()).collect();
        let of_scheme = |name: &str| challenges.iter().find(|it| it.scheme.eq_ignore_ascii_case(name));
        if let Some(bearer) = of_scheme("bearer") {
            let parameter = |name: &str| {
                let found = bearer.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if let Some(realm) = parameter("realm") {
                return Self::Bearer { realm, service: parameter("service"), scope: parameter("scope") };
            }
        }
        if of_scheme("basic").is_some() {
            return Self::Basic;
        }
        Self::Unknown(challenges.iter().map(|it| it.scheme).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn of(values: &[&'static str]) -> Challenge {
        Challenge::of(&values.iter().map(|value| (WWW_AUTHENTICATE, HeaderValue::from_static(value))).collect())
    }

    #[test]
    fn a_bearer_challenge_names_the_token_service() {
        let challenge =
            of(&[r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull,push""#]);

        let expected = Challenge::Bearer {
            realm: "https://auth.example/token".into(),
            service: Some("r.example".into()),
            scope: Some("repository:a/b:pull,push".into()),
        };
        assert_eq!(challenge, expected);
    }

    #[test]
    fn a_token_is_preferred_to_a_password() {
        let cases: [&[&'static str]; 2] =
            [&["Basic realm=\"a\"", "bearer realm=\"https://b\""], &["Basic realm=\"a\", Bearer realm=\"https://b\""]];

        for values in cases {
            assert_eq!(
                of(values),
                Challenge::Bearer { realm: "https://b".into(), service: None, scope: None },
                "{values:?}"
            );
        }
    }

    #[test]
    fn basic_has_no_parameters() {
        assert_eq!(of(&["basic realm=\"Registry\""]), Challenge::Basic);
    }

    #[test]
    fn other_schemes_are_named() {
        let cases: [(&[&'static str], &str); 4] = [
            (&[], ""),
            (&["Negotiate"], "Negotiate"),
            (&["Bearer service=\"no realm\""], "Bearer"),
            (&["\"broken"], ""),
        ];

        for (values, schemes) in cases {
            assert_eq!(of(values), Challenge::Unknown(schemes.into()), "{values:?}");
        }
    }
}
