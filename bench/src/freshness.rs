use std::error::Error;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use processor::influx::{Client, InfluxConfig, Tuning};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

/// Where to send and to look. The processor and a producer at the wanted rate must be running.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value = "127.0.0.1:9092")]
    brokers: String,
    #[arg(long, default_value = "clickstream_events")]
    topic: String,
    #[arg(long, default_value = "http://127.0.0.1:8086")]
    influx_url: String,
    #[arg(long, default_value = "clickpulse")]
    influx_org: String,
    #[arg(long)]
    influx_token: String,
    #[arg(long, default_value = "clickstream/raw_10s")]
    bucket: String,
    /// How many events to follow, one after the other
    #[arg(long, default_value_t = 200)]
    probes: u32,
}

/// How often a probe is asked for: what is measured is too long by half of this.
const ASK_EVERY: Duration = Duration::from_millis(10);
const GIVE_UP: Duration = Duration::from_secs(30);

pub(crate) fn run(args: &Args) -> Result<(), processor::kafka::KafkaError> {
    measure(args).map_err(|error| processor::kafka::KafkaError::Other {
        doing: "measuring freshness",
        reason: error.to_string(),
    })
}

fn measure(args: &Args) -> Result<(), Box<dyn Error>> {
    let config = InfluxConfig {
        url: args.influx_url.clone(),
        org: args.influx_org.clone(),
        token: args.influx_token.clone(),
        bucket: args.bucket.clone(),
        rollup_1m: args.bucket.clone(),
        rollup_1h: args.bucket.clone(),
    };
    let client = Client::new(&config, &Tuning::default())?;
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &args.brokers).set("linger.ms", "0").create()?;
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() % 100_000;
    let (database, policy) =
        args.bucket.split_once('/').ok_or("--bucket is not of the form database/policy")?;
    let source = format!("\"{database}\".\"{policy}\".\"http\"");
    let mut ages = Vec::new();
    for probe in 0..args.probes {
        // A status of its own would be a few-valued tag; a route of letters is kept as it is.
        let route = format!("/probe/{}", letters(run * 1_000 + u64::from(probe)));
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let event = format!(
            "{{\"user_id\":\"probe-{probe}\",\"event_timestamp\":{}.{:06},\"url\":\"{route}\",\"http_status\":200}}",
            now.as_secs(),
            now.subsec_micros()
        );
        let key = format!("probe-{probe}");
        let sent = Instant::now();
        producer.send(BaseRecord::to(&args.topic).key(&key).payload(&event)).map_err(|(error, _)| error)?;
        producer.flush(Duration::from_secs(10))?;
        let query = format!(
            "SELECT sum(\"requests\") FROM {source} WHERE \"route\" = '{route}' AND time > now() - 5m"
        );
        while client.query(&query)?.is_empty() {
            if sent.elapsed() > GIVE_UP {
                return Err(format!("{route} did not show within {GIVE_UP:?}").into());
            }
            std::thread::sleep(ASK_EVERY);
        }
        ages.push(sent.elapsed().as_secs_f64() * 1e3);
        // Probes must not fall into step with the emission.
        std::thread::sleep(Duration::from_millis(u64::from(probe * 37 % 400)));
    }
    ages.sort_by(f64::total_cmp);
    let rank = |q: f64| ages[((q * ages.len() as f64).ceil() as usize).clamp(1, ages.len()) - 1];
    println!(
        "freshness over {} probes: p50 {:.0} ms, p90 {:.0} ms, p99 {:.0} ms, greatest {:.0} ms",
        ages.len(),
        rank(0.5),
        rank(0.9),
        rank(0.99),
        rank(1.0)
    );
    Ok(())
}

fn letters(mut number: u64) -> String {
    let mut text = String::new();
    while number > 0 || text.is_empty() {
        text.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    text
}
