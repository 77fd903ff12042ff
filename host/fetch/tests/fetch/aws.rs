use kulta_fetch::{Auth, AwsEnvironment, Failure, Request, Secrets, Settings};

use crate::server::{Answer, Server, fetch, fetcher, file, get, ok, settings, text};

fn signed(server: &Server, path: &str) -> Request {
    Request { auth: Auth::SigV4("eu-west-1".into()), ..get(format!("{}{path}", server.url)) }
}

fn with_keys() -> Settings {
    let aws = AwsEnvironment {
        access_key_id: Some("AKIDEXAMPLE".into()),
        secret_access_key: Some("wJalrXUtnFEMI".into()),
        session_token: Some("session-token".into()),
        ..AwsEnvironment::default()
    };
    Settings { aws, ..settings() }
}

#[tokio::test]
async fn a_request_is_signed_with_the_keys_of_the_environment() {
    let server = Server::start(|_| ok("")).await;

    fetch(with_keys(), signed(&server, "/api/v1/query?query=up > 0")).await.unwrap();

    let received = server.last();
    let authorization = received.header("authorization").unwrap();
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{authorization}");
    assert!(authorization.contains("/eu-west-1/aps/aws4_request, SignedHeaders=host;"), "{authorization}");
    assert_eq!(
        (received.uri.as_str(), received.header("x-amz-security-token")),
        ("/api/v1/query?query=up%20%3E%200", Some("session-token"))
    );
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_not_signed() {
    let target = Server::start(|_| ok("")).await;
    let location = target.url.clone();
    let server = Server::start(move |_| crate::server::redirect(302, location.clone())).await;

    fetch(with_keys(), signed(&server, "")).await.unwrap();

    let received = target.last();
    assert_eq!((received.header("authorization"), received.header("x-amz-security-token")), (None, None));
}

#[tokio::test]
async fn without_credentials_the_failure_names_what_is_missing() {
    let server = Server::start(|_| ok("")).await;

    let failure = fetch(settings(), signed(&server, "")).await.unwrap_err();

    assert!(matches!(&failure, Failure::Failed(why) if why.contains("AWS_ACCESS_KEY_ID")), "{failure:?}");
    assert!(server.received().is_empty());
}

fn with_role(sts: &Server, token_file: &str) -> Settings {
    let token = file(token_file);
    std::fs::write(&token, "pod-token\n").unwrap();
    let aws = AwsEnvironment {
        role_arn: Some("arn:aws:iam::1:role/kulta".into()),
        web_identity_token_file: Some(token),
        sts_endpoint: Some(sts.url.clone()),
        ..AwsEnvironment::default()
    };
    Settings { aws, ..settings() }
}

#[tokio::test]
async fn the_pods_token_is_exchanged_once_for_the_roles_credentials() {
    let server = Server::start(|request| ok(request.header("x-amz-security-token").unwrap())).await;
    let sts = Server::start(|_| {
        ok("<Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>temporary</SecretAccessKey>\
            <SessionToken>role-session</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>")
    })
    .await;
    // The operator configures STS: the prefixes apply to plugins only.
    let prefixes = vec![server.url.parse().unwrap()];
    let fetcher = fetcher(Settings { prefixes, ..with_role(&sts, "aws-role-token") });

    let answers = [
        fetcher.fetch(signed(&server, "/a"), &Secrets::new()).await.unwrap(),
        fetcher.fetch(signed(&server, "/b"), &Secrets::new()).await.unwrap(),
    ];

    assert_eq!(answers.map(|answer| text(&answer)), ["***", "***"]);
    assert_eq!(server.last().header("x-amz-security-token"), Some("role-session"));
    assert_eq!(sts.received().len(), 1);
    assert_eq!(
        sts.last().body,
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fkulta\
         &RoleSessionName=kulta&WebIdentityToken=pod-token"
    );
}

#[tokio::test]
async fn a_rejected_role_is_a_failure_without_the_pods_token() {
    let server = Server::start(|_| ok("")).await;
    let sts = Server::start(|_| Answer { status: 403, ..ok("<Message>pod-token is not allowed</Message>") }).await;

    let failure = fetch(with_role(&sts, "aws-refused-token"), signed(&server, "")).await.unwrap_err();

    assert!(matches!(&failure, Failure::Failed(why) if why.contains("HTTP 403 *** is not allowed")), "{failure:?}");
}
