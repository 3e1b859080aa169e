use std::process::Command;

use crate::http::{AGENT, Reply};
use crate::names::free_port;
use crate::process::{Running, installed};
use crate::wait::eventually;

/// Version of the server; `install/s3.sh` names the same.
const VERSION: &str = "5.2.5";
const BUCKET: &str = "snapshots";

/// A service that speaks the S3 API, with one bucket. It keeps everything in memory and asks for no key.
#[derive(Debug)]
pub struct S3 {
    endpoint: String,
    server: Option<Running>,
    dir: tempfile::TempDir,
}

impl S3 {
    /// An address where nothing answers yet; [`S3::launch`] starts the server there.
    ///
    /// # Panics
    /// If there is no temporary folder.
    #[must_use]
    pub fn prepare() -> Self {
        let dir = tempfile::Builder::new().prefix("clickpulse-s3").tempdir().expect("a temporary folder");
        Self { endpoint: format!("http://127.0.0.1:{}", free_port()), server: None, dir }
    }

    /// A running server with an empty bucket.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start() -> Self {
        let mut s3 = Self::prepare();
        s3.launch();
        s3.make_bucket();
        s3
    }

    /// Starts the server, without a bucket.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn launch(&mut self) {
        let port = self.endpoint.rsplit(':').next().expect("an address has a port");
        let mut command = Command::new(installed(&format!("moto-{VERSION}/bin/moto_server"), "s3.sh"));
        command.args(["-H", "127.0.0.1", "-p", port]).current_dir(self.dir.path());
        self.server = Some(Running::spawn("moto", command, &self.dir.path().join("moto.log")));
        eventually("the S3 server answers", || self.request("GET", "/").map(drop));
    }

    /// Makes the bucket.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn make_bucket(&self) {
        let reply = self.request("PUT", &format!("/{BUCKET}")).expect("the server answers");
        assert_eq!(reply.status, 200, "{}", reply.body);
    }

    /// Kills the server; what it held is gone.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Its address.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The processor's section for this bucket; `more` are further lines.
    #[must_use]
    pub fn section(&self, more: &str) -> String {
        format!(
            "[state]\nurl = \"s3://{BUCKET}/some/prefix\"\nendpoint = {:?}\nallow_http = true\nregion = \"us-east-1\"\n\
             access_key_id = \"test\"\nsecret_access_key = \"hunter2\"\n{more}\n",
            self.endpoint
        )
    }

    /// Names of everything in the bucket.
    ///
    /// # Panics
    /// If the server refuses.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let reply = self.request("GET", &format!("/{BUCKET}?list-type=2")).expect("the server answers");
        assert_eq!(reply.status, 200, "{}", reply.body);
        let keys = reply.body.split("<Key>").skip(1);
        keys.filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned())).collect()
    }

    fn request(&self, method: &str, path: &str) -> Result<Reply, String> {
        let url = format!("{}{path}", self.endpoint);
        let sent = match method {
            "PUT" => AGENT.put(&url).send_empty(),
            _ => AGENT.get(&url).call(),
        };
        Reply::read(sent.map_err(|error| format!("{url}: {error}"))?)
    }
}
