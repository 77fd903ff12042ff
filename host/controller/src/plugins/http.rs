//! The requests that plugins ask for: sent as their grants allow, and counted.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use kulta_core::plugin_failure::FailureClass;
use kulta_fetch::{self as fetch, Failure, Fetcher, Request, Response, Right, Rights, Secrets};
use kulta_wasm::fetch as wit;

use super::handle::CallFailure;
use super::policy::{Granted, Grants, PluginPolicy};
use crate::api_error::error_message;
use crate::clock::Clock;
use crate::key::Key;
use crate::secrets::SecretReader;

/// A token, a query, some pages: a plugin that asks for requests more often than this does not come to an end.
pub const MAX_CALLS: usize = 8;

/// Who makes requests.
pub trait Requests: Send + Sync + 'static {
    fn fetch<'a>(&'a self, request: Request, secrets: &'a Secrets) -> BoxFuture<'a, Result<Response, Failure>>;
}

impl Requests for Fetcher {
    fn fetch<'a>(&'a self, request: Request, secrets: &'a Secrets) -> BoxFuture<'a, Result<Response, Failure>> {
        Box::pin(Self::fetch(self, request, secrets))
    }
}

/// Makes the requests of all plugins.
pub struct HttpClient {
    pub requests: Arc<dyn Requests>,
    pub secrets: Arc<SecretReader>,
    pub clock: Arc<dyn Clock>,
    /// The controller's own, where the Secrets of grants are.
    pub namespace: String,
}

/// The requests of one measurement, enrichment or call of a step, and the calls of the plugin between them.
pub struct HttpSession<'a> {
    client: &'a HttpClient,
    secrets: &'a Secrets,
    rights: Option<Arc<Rights>>,
    limit: u32,
    left: u32,
}

/// What a plugin's answer asks for.
pub enum Reply<T> {
    /// Requests; after them the plugin is called again with their answers and this memory.
    Fetch {
        requests: Vec<wit::Request>,
        memory: Vec<u8>,
    },
    Done(T),
}

/// Why a session came to no answer.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallFailure),
    #[error("it asks for more than {0} requests, its limit")]
    TooManyRequests(u32),
    #[error("it asked for requests {MAX_CALLS} times and came to no end")]
    Endless,
}

impl SessionError {
    /// By the table of what follows from it.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Call(error) => error.class(),
            Self::TooManyRequests(_) => FailureClass::BadAnswer,
            Self::Endless => FailureClass::Endless,
        }
    }
}

impl HttpClient {
    /// # Errors
    /// When a Secret that a grant needs cannot be read: which, and why.
    pub async fn session<'a>(&'a self, policy: &PluginPolicy, secrets: &'a Secrets) -> Result<HttpSession<'a>, String> {
        let limit = policy.limits.requests;
        Ok(HttpSession { client: self, secrets, rights: self.rights(policy).await?, limit, left: limit })
    }

    async fn rights(&self, policy: &PluginPolicy) -> Result<Option<Arc<Rights>>, String> {
        let Grants::Only(granted) = &policy.grants else { return Ok(None) };
        let mut grants = Vec::with_capacity(granted.len());
        for Granted { prefix, headers, skip_tls_verify } in granted {
            let mut right =
                Right { prefix: Some(prefix.clone()), skip_tls_verify: *skip_tls_verify, ..Right::default() };
            for header in headers {
                let secret = Key::new(&self.namespace, header.secret.as_str());
                let value = self.secrets.value(&secret, &header.key, self.clock.now()).await;
                let value = value.map_err(|error| error_message(&error)).and_then(|value| value);
                let value = value.map_err(|why| format!("the grant's header {:?}: {why}", header.name))?;
                right.headers.push((header.name.clone(), format!("{}{value}", header.prefix)));
            }
            grants.push(right);
        }
        let body_limit = usize::try_from(policy.limits.response_bytes).unwrap_or(usize::MAX);
        Ok(Some(Arc::new(Rights { grants, body_limit })))
    }
}

impl HttpSession<'_> {
    /// Calls a plugin, makes the requests that it asks for and calls it again with their answers, until it asks for none. `call` gets the
    /// memory and the answers.
    ///
    /// # Errors
    /// When a call fails, or when the plugin asks for too many requests or too often.
    pub async fn run<T, C, F>(&mut self, memory: Vec<u8>, call: C) -> Result<T, SessionError>
    where
        C: Fn(Vec<u8>, Vec<wit::Answer>) -> F,
        F: Future<Output = Result<Reply<T>, CallFailure>>,
    {
        let (mut memory, mut answers) = (memory, Vec::new());
        for _ in 0..MAX_CALLS {
            match call(memory, answers).await? {
                Reply::Done(answer) => return Ok(answer),
                Reply::Fetch { requests, memory: next } => {
                    answers = self.fetch(requests).await?;
                    memory = next;
                }
            }
        }
        Err(SessionError::Endless)
    }

    /// The answers, in the order of the requests. If there are more requests than the limit allows, none is sent.
    async fn fetch(&mut self, requests: Vec<wit::Request>) -> Result<Vec<wit::Answer>, SessionError> {
        let count = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        self.left = self.left.checked_sub(count).ok_or(SessionError::TooManyRequests(self.limit))?;
        Ok(join_all(requests.into_iter().map(|request| self.send(request))).await)
    }

    async fn send(&self, asked: wit::Request) -> wit::Answer {
        let answer = match request(asked, self.rights.clone()) {
            Ok(request) => self.client.requests.fetch(request, self.secrets).await,
            Err(failure) => Err(failure),
        };
        self::answer(answer)
    }
}

/// A plugin's request as the fetcher takes it.
///
/// # Errors
/// When the request asks for what this build does not serve.
pub fn request(asked: wit::Request, rights: Option<Arc<Rights>>) -> Result<fetch::Request, Failure> {
    if let Some(option) = asked.options.first() {
        return Err(Failure::Denied(format!("the request's option {:?} is not served", option.key)));
    }
    let pairs =
        |labels: Vec<kulta_wasm::strategy::Label>| labels.into_iter().map(|label| (label.key, label.value)).collect();
    Ok(fetch::Request {
        method: asked.method,
        url: asked.url,
        headers: pairs(asked.headers),
        body: asked.body.into(),
        auth: match asked.auth {
            wit::Auth::None => fetch::Auth::None,
            wit::Auth::Basic(basic) => {
                fetch::Auth::Basic(fetch::Basic { username: basic.username, password: basic.password })
            }
            wit::Auth::Oauth2(oauth2) => fetch::Auth::OAuth2(fetch::OAuth2 {
                token_url: oauth2.token_url,
                client_id: oauth2.client_id,
                client_secret: oauth2.client_secret,
                scopes: oauth2.scopes,
                parameters: pairs(oauth2.parameters),
            }),
            wit::Auth::Sigv4(region) => fetch::Auth::SigV4(region),
        },
        timeout: Duration::from_millis(asked.timeout),
        skip_tls_verify: asked.skip_tls_verify,
        rights,
    })
}

/// The answer to a request as plugins take it.
pub fn answer(answer: Result<Response, Failure>) -> wit::Answer {
    match answer {
        Ok(response) => Ok(wit::Response {
            status: response.status,
            headers: response
                .headers
                .into_iter()
                .map(|(key, value)| kulta_wasm::strategy::Label { key, value })
                .collect(),
            body: response.body.into(),
        }),
        Err(Failure::Denied(why)) => Err(wit::Failure::Denied(why)),
        Err(Failure::Timeout) => Err(wit::Failure::Timeout),
        Err(Failure::TooLarge(limit)) => Err(wit::Failure::TooLarge(limit)),
        Err(Failure::Failed(why)) => Err(wit::Failure::Failed(why)),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;

    use kube::Client;
    use kube::client::Body;
    use tower::service_fn;

    use super::*;
    use crate::clock::SystemClock;
    use crate::cluster::Cluster;

    /// Answers each request with its URL.
    #[derive(Default)]
    struct Echo {
        asked: Mutex<usize>,
    }

    impl Requests for Arc<Echo> {
        fn fetch<'a>(&'a self, request: Request, _: &'a Secrets) -> BoxFuture<'a, Result<Response, Failure>> {
            *self.asked.lock().unwrap() += 1;
            Box::pin(async move { Ok(Response { status: 200, headers: Vec::new(), body: request.url.into() }) })
        }
    }

    fn client() -> (HttpClient, Arc<Echo>) {
        let never = service_fn(|_: http::Request<Body>| async {
            std::future::pending::<Result<http::Response<Body>, Infallible>>().await
        });
        let cluster = Cluster::new(Client::new(never, "ns"), Arc::default());
        let echo = Arc::<Echo>::default();
        let client = HttpClient {
            requests: Arc::new(Arc::clone(&echo)),
            secrets: Arc::new(SecretReader::new(cluster)),
            clock: Arc::new(SystemClock),
            namespace: "kulta-system".to_owned(),
        };
        (client, echo)
    }

    fn get(url: &str) -> wit::Request {
        wit::Request {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            auth: wit::Auth::None,
            timeout: 0,
            skip_tls_verify: false,
            options: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_plugin_is_called_again_with_the_answers_and_the_memory_until_it_asks_for_no_requests() {
        let ((client, _), secrets) = (client(), Secrets::new());
        let mut session = client.session(&PluginPolicy::built_in(), &secrets).await.unwrap();

        let done = session.run(vec![0], async |memory: Vec<u8>, answers: Vec<wit::Answer>| {
            let bodies: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().body).collect();
            Ok(match memory.as_slice() {
                [0] => Reply::Fetch { requests: vec![get("http://a"), get("http://b")], memory: vec![1] },
                _ => Reply::Done((memory, bodies)),
            })
        });

        assert_eq!(done.await.unwrap(), (vec![1], vec![b"http://a".to_vec(), b"http://b".to_vec()]));
    }

    #[tokio::test]
    async fn a_plugin_that_never_stops_asking_for_requests_is_stopped() {
        let ((client, echo), secrets) = (client(), Secrets::new());
        let mut session = client.session(&PluginPolicy::built_in(), &secrets).await.unwrap();

        let run = session
            .run(Vec::new(), async |memory, _| Ok(Reply::<()>::Fetch { requests: vec![get("http://a")], memory }));

        assert_eq!(run.await.unwrap_err().class(), FailureClass::Endless);
        assert_eq!(*echo.asked.lock().unwrap(), MAX_CALLS);
    }

    #[tokio::test]
    async fn requests_beyond_the_limit_of_a_plugin_are_not_sent() {
        let ((client, echo), secrets) = (client(), Secrets::new());
        let mut policy = PluginPolicy::built_in();
        policy.limits.requests = 3;
        let mut session = client.session(&policy, &secrets).await.unwrap();

        let run = session.run(Vec::new(), async |memory, _| {
            Ok(Reply::<()>::Fetch { requests: vec![get("http://a"), get("http://b")], memory })
        });

        assert_eq!(run.await.unwrap_err().to_string(), "it asks for more than 3 requests, its limit");
        assert_eq!(*echo.asked.lock().unwrap(), 2);
    }
}
