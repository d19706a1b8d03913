//! A world of several parties, each in a folder of its own, who share one folder: for tests that run the program as they would.
#![allow(dead_code, clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

pub struct World {
    pub folder: tempfile::TempDir,
}

/// What a command said.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self
    }

    /// Checks that it failed so, with a fact and a remedy.
    #[track_caller]
    pub fn refused(self, code: i32, fact: &str) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        assert!(self.err.contains("Error: "), "{}", self.err);
        assert!(self.err.contains(fact), "expected '{fact}' in:\n{}", self.err);
        assert!(self.err.contains("Try: "), "no remedy in:\n{}", self.err);
        self
    }

    /// Checks what its remedy holds.
    #[track_caller]
    pub fn tries(self, words: &str) -> Self {
        let remedy = self.err.split_once("Try: ").map_or("", |(_, remedy)| remedy);
        assert!(remedy.contains(words), "expected '{words}' in:\n{}", self.err);
        self
    }

    #[track_caller]
    pub fn says_in_out(self, words: &str) -> Self {
        assert!(self.out.contains(words), "expected '{words}' in:\n{}", self.out);
        self
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl World {
    /// Makes keys and folders for the workload and these holders, and an agreement that all have a copy of.
    pub fn new(holders: &[&str], more: &[&str]) -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        let mut args = vec!["space".to_owned(), "init".into(), "--id".into(), "test-space".into()];
        args.extend(["--shared".into(), world.path("shared").to_str().unwrap().into()]);
        args.extend(["--out".into(), "space.yaml".into(), "--user".into(), "insights".into()]);
        args.extend(more.iter().map(|&arg| arg.to_owned()));
        if !more.contains(&"--identifier") {
            args.extend(["--identifier".into(), "email".into()]);
        }
        for party in ["workload"].iter().chain(holders) {
            fs::create_dir_all(world.path(party)).unwrap();
            let name = world.run(party, &["keygen", "--out", "party.key"]).done().out.trim().to_owned();
            match *party {
                "workload" => args.extend(["--workload".into(), name]),
                holder => args.extend(["--holder".into(), format!("{holder}={name}")]),
            }
        }
        world.run(".", &args.iter().map(String::as_str).collect::<Vec<_>>()).done();
        for party in ["workload"].iter().chain(holders) {
            fs::copy(world.path("space.yaml"), world.path(party).join("space.yaml")).unwrap();
        }
        world
    }

    /// As [`World::new`], with the epoch open, everybody enrolled and these files protected.
    pub fn enrolled(files: &[(&str, &str)]) -> Self {
        let holders: Vec<_> = files.iter().map(|(holder, _)| *holder).collect();
        let world = Self::new(&holders, &[]);
        world.event("INITIALIZE").done();
        world.enrol_all(&holders);
        for (holder, csv) in files {
            world.protect(holder, csv).done();
        }
        world
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub fn command(&self, party: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_datafuse"));
        command.current_dir(self.path(party)).stdin(std::process::Stdio::null());
        // Nothing of the machine's settings decides a test.
        for name in [
            "DATAFUSE_SPACE",
            "DATAFUSE_KEY",
            "DATAFUSE_PARTY",
            "DATAFUSE_PASSPHRASE_FILE",
            "DATAFUSE_IDENTITY",
            "DATAFUSE_PARQUET_KEY_FILE",
            "DATAFUSE_REDIS",
            "DATAFUSE_STATE",
            "DATAFUSE_STREAMS",
            "DATAFUSE_HTTP",
            "DATAFUSE_OPS",
            "DATAFUSE_LOG_FORMAT",
            "DATAFUSE_STATE",
            "LOGLEVEL",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "DATAFUSE_GROUP_BACKEND",
            "DATAFUSE_ALLOW_HOSTS",
            "DATAFUSE_DELIVERY_CA_FILE",
            "DATAFUSE_DELIVERY_TOKEN_INSIGHTS",
            "DATAFUSE_SEALED_PASSPHRASE_FILE",
            "DV_APP_ID",
            "DV_URL",
            "DV_LOKI",
            "DAEMON",
            "REDIS_SERVICE_HOST",
        ] {
            command.env_remove(name);
        }
        command
    }

    pub fn run(&self, party: &str, args: &[&str]) -> Said {
        self.command(party).args(args).output().unwrap().into()
    }

    pub fn event(&self, event: &str) -> Said {
        self.run("workload", &["run", event, "--key", "party.key"])
    }

    pub fn enrol(&self, holder: &str) -> Said {
        self.run(holder, &["enrol", "--party", holder, "--key", "party.key", "--yes"])
    }

    pub fn enrol_all(&self, holders: &[&str]) {
        for _ in 0..2 {
            for holder in holders {
                self.enrol(holder).done();
            }
        }
    }

    pub fn protect(&self, holder: &str, csv: &str) -> Said {
        fs::write(self.path(holder).join("customers.csv"), csv).unwrap();
        self.protect_file(holder, "customers.csv", &[])
    }

    pub fn protect_file(&self, holder: &str, file: &str, more: &[&str]) -> Said {
        let mut args = vec!["protect", file, "--party", holder, "--key", "party.key"];
        args.extend(more);
        self.run(holder, &args)
    }

    pub fn dataset(&self, holder: &str) -> PathBuf {
        self.path("shared/datasets").join(format!("{holder}.parquet"))
    }

    /// The newest report.
    pub fn report(&self) -> serde_json::Value {
        let mut events: Vec<_> =
            fs::read_dir(self.path("workload/outputs")).unwrap().map(|entry| entry.unwrap().path()).collect();
        events.sort();
        serde_json::from_slice(&fs::read(events.last().unwrap().join("report.json")).unwrap()).unwrap()
    }
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Asks one thing of an address; gives the status and the whole answer.
pub fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

/// `datafuse serve`, killed when it is dropped.
pub struct Serve {
    pub child: Child,
    pub said: Arc<Mutex<String>>,
}

impl Serve {
    pub fn start(world: &World, args: &[&str]) -> Self {
        let mut command = world.command("workload");
        command.args(["serve", "--key", "party.key"]).args(args).stderr(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, to) = (child.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                to.lock().unwrap().push_str(&(line.unwrap() + "\n"));
            }
        });
        Self { child, said }
    }

    /// Waits until what it says holds something, and gives what follows it on that line.
    pub fn says(&self, words: &str) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let said = self.said.lock().unwrap().clone();
            if let Some((_, rest)) = said.split_once(words) {
                return rest.lines().next().unwrap_or_default().to_owned();
            }
            assert!(Instant::now() < until, "'{words}' is not in:\n{said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the numbers hold a line.
    pub fn await_number(&self, address: &str, line: &str) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let (status, text) = get(address, "/metrics");
            assert_eq!(status, 200, "{text}");
            if text.lines().any(|found| found.trim_end() == line) {
                return text;
            }
            assert!(Instant::now() < until, "'{line}' is not in:\n{text}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    #[cfg(unix)]
    pub fn terminate(&mut self) {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap();
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
