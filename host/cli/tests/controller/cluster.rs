//! An API server in this process, and `kulta` as a process against it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateway_api::httproutes::HttpRoute;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config, CustomResourceExt};
use kulta_api::crd::Kind;
use kulta_embedded::clock::Clock;
use kulta_embedded::faults::{Call, Delivery, Faults, Verdict};
use kulta_embedded::server::Server;
use kulta_embedded::status::ApiError;
use kulta_embedded::store::{Settings, Store};
use kulta_embedded::watch::WatchEvent;
use serde_json::{Value, json};
use tempfolder::TempFolder;

/// The binary of this build.
pub const KULTA: &str = env!("CARGO_BIN_EXE_kulta");
/// A debug build on a busy machine compiles its built-in plugins at its start.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Cluster {
    pub kubeconfig: PathBuf,
    address: SocketAddr,
    _folder: TempFolder,
}

/// Refuses all requests for these resources with 403.
#[derive(Default)]
pub struct Forbidden(pub &'static [&'static str]);

impl Faults for Forbidden {
    fn before(&self, call: &Call) -> Verdict {
        if !self.0.contains(&call.resource.as_str()) {
            return Verdict::Pass;
        }
        let message = format!("{} is forbidden: User \"kulta\" cannot do this", call.resource);
        Verdict::Refuse(ApiError::new(403, "Forbidden", message))
    }

    fn after(&self, _: &Call) -> Verdict {
        Verdict::Pass
    }

    fn event(&self, _: &Call, _: &WatchEvent) -> Delivery {
        Delivery::Send
    }
}

impl Cluster {
    pub async fn start(forbidden: &'static [&'static str]) -> Self {
        let store = Store::new(Settings::new(Clock::wall(), 7));
        let server = Server::new(store).with_faults(Arc::new(Forbidden(forbidden)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { server.serve(listener).await.unwrap() });
        let folder = TempFolder::create();
        let kubeconfig = folder.write("kubeconfig", &kubeconfig(address).to_string());
        Self { kubeconfig, address, _folder: folder }
    }

    /// With KULTA's CRDs and Gateway API's route.
    pub async fn complete(forbidden: &'static [&'static str]) -> Self {
        let cluster = Self::start(forbidden).await;
        cluster.define_all_but(&[]).await;
        cluster.define(serde_json::to_value(HttpRoute::crd()).unwrap()).await;
        cluster
    }

    /// KULTA's CRDs except those of these kinds.
    pub async fn define_all_but(&self, missing: &[&str]) {
        for kind in Kind::ALL {
            let crd = serde_json::to_value(kind.definition()).unwrap();
            if !missing.iter().any(|kind| crd["spec"]["names"]["kind"] == *kind) {
                self.define(crd).await;
            }
        }
    }

    /// Creates a CRD.
    pub async fn define(&self, crd: Value) {
        let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        let api: Api<DynamicObject> = Api::all_with(self.client(), &ApiResource::from_gvk(&kind));
        api.create(&PostParams::default(), &serde_json::from_value(crd).unwrap()).await.unwrap();
    }

    /// Creates an object in the namespace `default`.
    pub async fn create(&self, group: &str, version: &str, kind: &str, object: Value) {
        let kind = GroupVersionKind::gvk(group, version, kind);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client(), "default", &ApiResource::from_gvk(&kind));
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    pub fn client(&self) -> Client {
        // kube's client needs a TLS provider, also for http; another test of the process may have installed it.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        Client::try_from(Config::new(format!("http://{}", self.address).parse().unwrap())).unwrap()
    }

    /// Runs `kulta` with these arguments and variables.
    pub fn kulta(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Process {
        let mut command = Command::new(KULTA);
        command.args(arguments).env("KUBECONFIG", &self.kubeconfig).envs(variables.iter().copied());
        Process::start(command)
    }
}

fn kubeconfig(server: SocketAddr) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test", "cluster": { "server": format!("http://{server}") } }],
        "users": [{ "name": "test", "user": {} }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
    })
}

/// A running `kulta`; killed when dropped.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Process {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::<Mutex<String>>::default();
        collect(child.stdout.take().unwrap(), &log);
        collect(child.stderr.take().unwrap(), &log);
        Self { child, log }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for the answer of a page to satisfy the condition.
    pub fn page(&mut self, port: u16, path: &str, is_expected: impl Fn(&Page) -> bool) -> Page {
        let began = Instant::now();
        loop {
            let page = get(port, path);
            if let Some(page) = page.clone().filter(|page| is_expected(page)) {
                return page;
            }
            let ended = self.child.try_wait().unwrap();
            let late = began.elapsed() > PATIENCE;
            assert!(ended.is_none() && !late, "{path} is {page:?}, ended: {ended:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn stop(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn collect(stream: impl Read + Send + 'static, log: &Arc<Mutex<String>>) {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    pub body: String,
}

fn get(port: u16, path: &str) -> Option<Page> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some(Page { status: head.split(' ').nth(1)?.parse().ok()?, body: body.to_owned() })
}

/// A port that nothing listens on yet.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

mod tempfolder {
    use super::*;

    /// Removed when dropped.
    pub struct TempFolder(PathBuf);

    impl TempFolder {
        pub fn create() -> Self {
            let name = format!("kulta-controller-{}-{}", std::process::id(), super::free_port());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        pub fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for TempFolder {
        fn drop(&mut self) {
            // What is left is in the temporary folder.
            let _removed = fs::remove_dir_all(&self.0);
        }
    }
}
