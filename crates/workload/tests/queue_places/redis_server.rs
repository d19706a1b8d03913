//! A real Redis server for tests: the one that `DATAFUSE_TEST_REDIS` names, or one of the test's own. Without either the
//! test fails and says what to do; it never passes unseen.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

const REMEDY: &str = "Try: apt-get install redis-server, or DATAFUSE_TEST_REDIS=redis://HOST:PORT";

/// A server, ended when dropped if it is the test's own.
pub(crate) struct Server {
    pub(crate) url: String,
    own: Option<Own>,
}

struct Own {
    child: Child,
    port: u16,
    folder: TempDir,
    arguments: Vec<String>,
}

impl Server {
    /// The server that is there for all, or one of the test's own.
    pub(crate) fn any() -> Self {
        match std::env::var("DATAFUSE_TEST_REDIS") {
            Ok(url) if !url.is_empty() => Self { url, own: None },
            _ => Self::own(&[]),
        }
    }

    /// A server of the test's own, on a free port, which a test may restart and stop.
    pub(crate) fn own(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        Self::start_somewhere(|port| {
            let mut all = vec!["--port".to_owned(), port.to_string()];
            all.extend(arguments.iter().cloned());
            (format!("redis://127.0.0.1:{port}"), all)
        })
    }

    /// A server that speaks nothing but TLS, with a certificate for `localhost` and `127.0.0.1`.
    pub(crate) fn tls(certificates: &Certificates) -> Self {
        let file = |name: &str| certificates.path(name).display().to_string();
        Self::start_somewhere(|port| {
            let arguments = [
                ("--port", "0".to_owned()),
                ("--tls-port", port.to_string()),
                ("--tls-cert-file", file("server.pem")),
                ("--tls-key-file", file("server.key")),
                ("--tls-ca-cert-file", file("ca.pem")),
                ("--tls-auth-clients", "no".to_owned()),
            ];
            let arguments = arguments.map(|(name, value)| [name.to_owned(), value]);
            (format!("rediss://localhost:{port}"), arguments.into_iter().flatten().collect())
        })
    }

    /// Kills the server without warning and starts it again in the same place.
    pub(crate) fn crash_and_restart(&mut self) {
        let own = self.own.as_mut().unwrap();
        own.child.kill().unwrap();
        own.child.wait().unwrap();
        // Its port may be taken for a moment by the connections that are being closed.
        let started = (0..100).find_map(|_| start(&own.arguments, own.folder.path()));
        own.child = started.unwrap();
    }

    pub(crate) fn port(&self) -> u16 {
        self.own.as_ref().unwrap().port
    }

    /// Between finding a free port and using it another test may take it: then the next one is tried.
    fn start_somewhere(arguments: impl Fn(u16) -> (String, Vec<String>)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let (url, arguments) = arguments(port);
            if let Some(child) = start(&arguments, folder.path()) {
                let own = Own { child, port, folder, arguments };
                return Self { url, own: Some(own) };
            }
        }
        panic!("redis-server does not start. {REMEDY}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(own) = &mut self.own {
            let _ = own.child.kill();
            let _ = own.child.wait();
        }
    }
}

/// Starts a server and waits until it says that it is ready; none if it ends instead.
fn start(arguments: &[String], folder: &Path) -> Option<Child> {
    let started = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--dir"])
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = started.unwrap_or_else(|e| panic!("redis-server: {e}. {REMEDY}"));
    let output = BufReader::new(child.stdout.take().unwrap());
    for line in output.lines() {
        if line.unwrap().contains("Ready to accept connections") {
            return Some(child);
        }
    }
    child.wait().unwrap();
    None
}

/// A certificate authority made for one test, and the server's certificate from it.
pub(crate) struct Certificates {
    folder: TempDir,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap() };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        made.openssl(&format!(
            "req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-authority \
             -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
        ));
        made.openssl(&format!("req -new {key} -keyout server.key -out server.csr -subj /CN=localhost"));
        std::fs::write(made.path("names"), "basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n")
            .unwrap();
        made.openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem \
             -days 2 -extfile names",
        );
        made
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, arguments: &str) {
        let run = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .unwrap_or_else(|e| panic!("openssl: {e}. Try: apt-get install openssl"));
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
}
