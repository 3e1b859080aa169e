//! The measure of the producer: the same bytes through librdkafka with nothing else around it.
//!
//! `cargo run --release -p producer --example bare -- BROKERS TOPIC COUNT` prepares the records first and then sends
//! them with `BaseProducer`, at the same settings as `producer run`, whose CPU-seconds `time` tells.
//! With `generate` in place of the brokers nothing is sent, which is what preparing alone costs.

use std::time::{Duration, Instant};

use events::Timestamp;
use producer::{Batch, Disorder, Incidents, Profile, ShopperSettings, Stream};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic, count] = &arguments[..] else { panic!("BROKERS TOPIC COUNT") };
    let count: u64 = count.parse().expect("a number");

    // As many different records as fit the cache about as badly as a stream does.
    let prepared = count.min(100_000);
    let shoppers = ShopperSettings::default();
    let mut stream =
        Stream::new(&shoppers, Disorder::default(), Profile::steady(100_000.0), Incidents::new());
    let mut batch = Batch::new();
    let start = Timestamp::from_secs(1_800_000_000);
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    if brokers == "generate" {
        let mut made = 0;
        while made < count {
            batch.clear();
            stream.tick(start.plus_micros(stream.elapsed().as_micros() as i64), count - made, &mut batch);
            made += batch.len() as u64;
        }
        report("generated", count, begun.elapsed(), cpu_seconds() - cpu);
        return;
    }
    while (batch.len() as u64) < prepared {
        let left = prepared - batch.len() as u64;
        stream.tick(start.plus_micros(stream.elapsed().as_micros() as i64), left, &mut batch);
    }

    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    for (name, value) in producer::TUNING {
        config.set(name, value);
    }
    let producer: BaseProducer = config.create().expect("a producer");
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    for number in 0..count {
        let record = batch.get((number % prepared) as usize).expect("it was prepared");
        let mut message = BaseRecord::to(topic).key(record.key).payload(record.value);
        while let Err((_, back)) = producer.send(message) {
            message = back;
            producer.poll(Duration::from_millis(1));
        }
        if number % 1_000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(5));
    }
    report("sent", count, begun.elapsed(), cpu_seconds() - cpu);
}

fn report(what: &str, count: u64, elapsed: Duration, cpu: f64) {
    let rate = count as f64 / elapsed.as_secs_f64();
    println!("{what} {count}: {rate:.0}/s, {cpu:.2} CPU-seconds, {:.0} per CPU-second", count as f64 / cpu);
}

/// User and system time of this process so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a command").split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().expect("ticks")).sum();
    ticks / 100.0
}
