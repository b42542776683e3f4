//! A real server in a process of its own, to be killed and started again on the same data and port.
//!
//! It is killed with SIGKILL when dropped, so that a failing test leaves nothing behind.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to serve, recovery included, on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How long a server may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// A server process.
#[derive(Debug)]
pub struct Server {
    child: Option<Child>,
    /// That of its address, if it has one.
    _port: Option<Port>,
    address: String,
    directory: PathBuf,
    arguments: Vec<String>,
    /// Removes the directory when the server is dropped.
    _temporary: Option<TempDir>,
}

impl Server {
    /// A server on a new directory and a free port.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more arguments.
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory can be made");
        Self::start_in(temporary, arguments)
    }

    /// The same with a configuration file that says this.
    ///
    /// # Panics
    /// If the file cannot be written.
    #[must_use]
    pub fn configured(toml: &str) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory can be made");
        let file = temporary.path().join("sessiond.toml");
        std::fs::write(&file, toml).expect("a temporary directory can be written to");
        let file = file.to_str().expect("a temporary path is text").to_owned();
        Self::start_in(temporary, &["--config", &file])
    }

    /// The same on a socket file of its own.
    ///
    /// # Panics
    /// If there is no place for it.
    #[must_use]
    pub fn on_socket() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory can be made");
        let address = format!("unix:{}", temporary.path().join("socket").display());
        Self::start_at(address, None, temporary, &[])
    }

    fn start_in(temporary: TempDir, arguments: &[&str]) -> Self {
        let port = Port::take();
        let address = format!("127.0.0.1:{}", port.number);
        Self::start_at(address, Some(port), temporary, arguments)
    }

    fn start_at(
        address: String,
        port: Option<Port>,
        temporary: TempDir,
        arguments: &[&str],
    ) -> Self {
        let directory = temporary.path().join("data");
        let mut server = Self {
            child: None,
            _port: port,
            address,
            directory,
            arguments: arguments.iter().map(|&a| a.to_owned()).collect(),
            _temporary: Some(temporary),
        };
        server.restart();
        server
    }

    /// Gives it another configuration, for its next start.
    ///
    /// # Panics
    /// If it was started without a file.
    pub fn configure(&self, text: &str) {
        let file = self.arguments.last().expect("it has a file");
        std::fs::write(file, text).expect("the file can be written");
    }

    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        if self.address.starts_with("unix:") {
            return self.address.clone();
        }
        format!("http://{}", self.address)
    }

    /// Its data directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts it on its directory, on the port it had.
    ///
    /// # Panics
    /// If it runs already or does not come up.
    pub fn restart(&mut self) {
        let mut child = self.spawn(Stdio::piped());
        let stderr = child.stderr.take().expect("stderr is piped");
        let (sender, address) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("listening on ") {
                    drop(sender.send(address.to_owned()));
                } else {
                    eprintln!("server: {line}");
                }
            }
        });
        self.child = Some(child);
        self.address = address
            .recv_timeout(START_WITHIN)
            .expect("the server says where it listens");
    }

    /// Starts it and kills it with SIGKILL after `life`, wherever it is in its start by then. There is
    /// no condition to wait for: the moment is the test.
    ///
    /// # Panics
    /// If it runs already.
    pub fn start_and_kill(&mut self, life: Duration) {
        // What it says has no reader, and it must not be stopped by a full pipe.
        let child = self.spawn(Stdio::null());
        let born = Instant::now();
        while born.elapsed() < life {
            std::thread::yield_now();
        }
        self.child = Some(child);
        self.kill();
    }

    fn spawn(&self, stderr: Stdio) -> Child {
        assert!(self.child.is_none(), "the server runs already");
        Command::new(crate::binaries::sessiond())
            .args(["serve", "--listen", &self.address, "--log-format", "human"])
            // Whatever this machine's own server is set to.
            .env("SESSIOND_CONFIG", "/dev/null")
            .arg("--data-dir")
            .arg(&self.directory)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("the server can be started")
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Sends SIGTERM and waits for it to stop.
    ///
    /// # Panics
    /// If it does not stop in time.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .expect("a child can be signalled");
        let (sender, status) = mpsc::channel();
        let waiter = std::thread::spawn(move || {
            drop(sender.send(child.wait()));
        });
        let status = status
            .recv_timeout(STOP_WITHIN)
            .expect("the server stops within its bound")
            .expect("a child can be waited for");
        drop(waiter.join());
        status
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of its own, for as long as this lives, whether its server is up or away.
///
/// Ports that the system gives out are no good for a server that is away for a while: a client that
/// tries to connect to one may be given that very port as its own, and then holds it. Nor is one that
/// is merely free: another test may find it free while its server is away.
#[derive(Debug)]
struct Port {
    number: u16,
    /// Locked; other tests of this machine pass by.
    _held: File,
}

impl Port {
    fn take() -> Self {
        let folder = std::env::temp_dir().join("sessiond-test-ports");
        std::fs::create_dir_all(&folder).expect("a temporary directory can be made");
        let mut rng = fastrand::Rng::new();
        (0..1_000)
            .map(|_| rng.u16(10_000..30_000))
            .find_map(|number| Self::claim(&folder, number))
            .expect("one of a thousand ports is free")
    }

    fn claim(folder: &Path, number: u16) -> Option<Self> {
        let held = File::create(folder.join(number.to_string())).ok()?;
        held.try_lock().ok()?;
        TcpListener::bind(("127.0.0.1", number)).ok()?;
        Some(Self {
            number,
            _held: held,
        })
    }
}
