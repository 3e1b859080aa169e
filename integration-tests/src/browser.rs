use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A headless Chromium.
#[derive(Debug)]
pub struct Browser {
    program: PathBuf,
}

impl Browser {
    /// The one on the `PATH`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn find() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path)
            .flat_map(|dir| ["chromium", "chromium-browser", "google-chrome"].map(|name| dir.join(name)))
            .find(|path| path.is_file())
            .expect("Chromium is on the PATH: run integration-tests/install/chromium.sh");
        Self { program }
    }

    /// The page's elements after its scripts have run for so long, by a clock that stands while an answer is awaited:
    /// a busy machine sees as much as an idle one.
    ///
    /// # Panics
    /// If the browser fails.
    #[must_use]
    pub fn dom(&self, url: &str, after: Duration) -> String {
        let output = self.run(&["--dump-dom", &format!("--virtual-time-budget={}", after.as_millis()), url]);
        String::from_utf8_lossy(&output).into_owned()
    }

    /// A picture of the page, as PNG.
    ///
    /// # Panics
    /// If the browser fails.
    pub fn screenshot(&self, url: &str, to: &Path) {
        let to = format!("--screenshot={}", to.display());
        self.run(&[&to, "--window-size=1440,2000", "--hide-scrollbars", "--virtual-time-budget=8000", url]);
    }

    fn run(&self, arguments: &[&str]) -> Vec<u8> {
        let profile =
            tempfile::Builder::new().prefix("clickpulse-browser").tempdir().expect("a temporary folder");
        // As root it needs --no-sandbox; the rest keeps it from talking to anybody but the page.
        let output = Command::new(&self.program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("Chromium starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "Chromium {arguments:?} ends with {}:\n{said}", output.status);
        output.stdout
    }
}
