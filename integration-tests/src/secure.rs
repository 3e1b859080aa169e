//! A Kafka with listeners that want TLS and SASL, and the certificates and keys for it, made anew every time.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::kafka::Kafka;
use crate::names::free_port;

/// The user that every listener with SASL knows.
pub const USER: &str = "shop";

/// A certificate authority of its own, with a client certificate.
#[derive(Debug)]
pub struct Authority {
    dir: TempDir,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// If there is no `openssl` to make it with.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("clickpulse-keys").tempdir().expect("a temporary folder");
        openssl(
            dir.path(),
            &format!(
                "req -x509 {NEW_KEY} -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=clickpulse-tests"
            ),
        );
        let authority = Self { dir };
        authority.issue("client", "extendedKeyUsage=clientAuth");
        openssl(
            authority.dir.path(),
            "pkcs8 -topk8 -in client.key -out client.encrypted.key -passout pass:of-the-key",
        );
        authority
    }

    /// A certificate `NAME.pem` with its key `NAME.key`.
    fn issue(&self, name: &str, extensions: &str) {
        let dir = self.dir.path();
        fs::write(dir.join(format!("{name}.ext")), extensions).expect("a temporary file");
        openssl(dir, &format!("req {NEW_KEY} -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        openssl(
            dir,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out {name}.pem -extfile {name}.ext"
            ),
        );
    }

    /// The authority's own certificate, for `ssl.ca.location`.
    #[must_use]
    pub fn ca(&self) -> String {
        self.path("ca.pem")
    }

    /// The client's certificate.
    #[must_use]
    pub fn client_certificate(&self) -> String {
        self.path("client.pem")
    }

    /// The client's key.
    #[must_use]
    pub fn client_key(&self) -> String {
        self.path("client.key")
    }

    /// The client's key, encrypted; `of-the-key` opens it.
    #[must_use]
    pub fn encrypted_client_key(&self) -> String {
        self.path("client.encrypted.key")
    }

    /// A file beside the keys with this in it.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.dir.path().join(name), text).expect("a temporary file");
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("a plain path").to_owned()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// A one-node Kafka with a listener of each kind. Its certificate is for 127.0.0.1, and for no name.
#[derive(Debug)]
pub struct SecureKafka {
    /// The same broker without either, for the harness.
    pub kafka: Kafka,
    /// Who signed its certificate, and whose clients it takes.
    pub authority: Authority,
    /// `host:port` of the listener with SSL that wants a client certificate.
    pub mutual: String,
    /// `host:port` of the listener with `SASL_SSL`: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.
    pub sasl_ssl: String,
    /// `host:port` of the listener with `SASL_PLAINTEXT`: SCRAM-SHA-512 only.
    pub sasl_plaintext: String,
    /// What [`USER`] has to say.
    pub password: String,
}

impl SecureKafka {
    /// A new one, ready.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start() -> Self {
        let authority = Authority::new();
        authority.issue("broker", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth");
        let read = |name: &str| fs::read_to_string(authority.path(name)).expect("openssl wrote it");
        let store = authority.file("broker.store.pem", &(read("broker.key") + &read("broker.pem")));
        let ca = authority.ca();
        let password = format!("invented-{}", free_port());
        let [mutual, sasl_ssl, sasl_plaintext] = [(); 3].map(|()| format!("127.0.0.1:{}", free_port()));
        let listeners = format!(",MUTUAL://{mutual},SASLTLS://{sasl_ssl},SASLPLAIN://{sasl_plaintext}");
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let plain = format!(
            "org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{password}\";"
        );
        let more = format!(
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,MUTUAL:SSL,SASLTLS:SASL_SSL,\
             SASLPLAIN:SASL_PLAINTEXT\n\
             ssl.keystore.type=PEM\nssl.keystore.location={store}\n\
             ssl.truststore.type=PEM\nssl.truststore.location={ca}\n\
             listener.name.mutual.ssl.client.auth=required\n\
             listener.name.sasltls.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
             listener.name.sasltls.plain.sasl.jaas.config={plain}\n\
             listener.name.sasltls.scram-sha-256.sasl.jaas.config={scram}\n\
             listener.name.sasltls.scram-sha-512.sasl.jaas.config={scram}\n\
             listener.name.saslplain.sasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.saslplain.scram-sha-512.sasl.jaas.config={scram}\n"
        );
        let users: Vec<String> = ["SCRAM-SHA-256", "SCRAM-SHA-512"]
            .into_iter()
            .flat_map(|mechanism| {
                ["--add-scram".to_owned(), format!("{mechanism}=[name={USER},password={password}]")]
            })
            .collect();
        let mut kafka = Kafka::prepare_with(&listeners, &listeners, &more, &users);
        kafka.launch();
        Self { kafka, authority, mutual, sasl_ssl, sasl_plaintext, password }
    }
}

const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1";

fn openssl(dir: &Path, arguments: &str) {
    let output =
        Command::new("openssl").current_dir(dir).args(arguments.split_whitespace()).output().unwrap_or_else(
            |error| panic!("openssl (Debian's package of this name) makes the keys: {error}"),
        );
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
