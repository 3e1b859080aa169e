use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::wait::eventually_within;

/// How much of a log is printed when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// A child process that does not outlive its test; its output is kept in a file and shown when the test fails.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command` with standard output and error appended to `log`.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Self {
        let out = OpenOptions::new().create(true).append(true).open(log).expect("the log can be written");
        let err = out.try_clone().expect("a file handle can be copied");
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start ({command:?}): {error}"));
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    ///
    /// # Panics
    /// If the system does not say.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub fn kill(&mut self) {
        // Fails only where the process has ended already.
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }

    /// Sends `SIGTERM`, `SIGINT` or another signal by its name without `SIG`.
    ///
    /// # Panics
    /// If the process is gone.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &self.pid().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "{} is there to take SIG{signal}", self.name);
    }

    /// Waits for its end and gives the exit code; a process ended by a signal gives −1.
    ///
    /// # Panics
    /// If it still runs when the time is up.
    pub fn wait(&mut self, timeout: Duration) -> i32 {
        let status: ExitStatus = eventually_within(timeout, &format!("the end of {}", self.name), || {
            let status = self.child.try_wait().expect("a child can be waited for");
            status.ok_or_else(|| "it still runs".to_owned())
        });
        status.code().unwrap_or(-1)
    }

    /// All it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Resident memory now, in bytes.
    ///
    /// # Panics
    /// If the process is gone.
    #[must_use]
    pub fn rss_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory it has had, in bytes.
    ///
    /// # Panics
    /// If the process is gone.
    #[must_use]
    pub fn peak_rss_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process runs");
        let line =
            status.lines().find_map(|line| line.strip_prefix(key)).expect("a running process has memory");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kib * 1024
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let from = lines.len().saturating_sub(LOG_LINES_SHOWN);
            eprintln!("---- last lines of {} ({} in all)", self.name, lines.len());
            for line in &lines[from..] {
                eprintln!("  {line}");
            }
        }
    }
}

/// Where the installers put the servers: `$CLICKPULSE_CACHE`, or `~/.cache/clickpulse`.
///
/// # Panics
/// If there is neither that nor a home folder.
#[must_use]
pub fn cache_dir() -> PathBuf {
    std::env::var_os("CLICKPULSE_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/clickpulse"),
        PathBuf::from,
    )
}

/// `path` under the cache, installed by `integration-tests/install/SCRIPT`.
pub(crate) fn installed(path: &str, script: &str) -> PathBuf {
    let path = cache_dir().join(path);
    assert!(
        path.exists(),
        "{} is missing: run integration-tests/install/{script} (or integration-tests/run.sh)",
        path.display()
    );
    path
}
