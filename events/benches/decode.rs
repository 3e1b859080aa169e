//! What decoding one record costs: `cargo bench -p events`.
//!
//! Prints nanoseconds per event, the median of the rounds, for records as Clickpulse's producer writes them (event
//! types interleaved as in one topic), for the same records on the slow path, and for records with escapes.

use std::hint::black_box;
use std::time::Instant;

use events::{Decoder, DecoderOptions, Event, Mapping};

const RECORDS: usize = 8_192;
const ROUNDS: usize = 101;

fn main() {
    // `cargo test --benches` runs this too: then one round shows that it works.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let cases: [Case; 8] = [
        ("page views, fast path", page_view, Path::Fast),
        ("mixed types, fast path", mixed, Path::Fast),
        ("mixed types, blanks as Python writes them", |numbers| spaced(&mixed(numbers)), Path::Fast),
        ("mixed types, slow path", mixed, Path::Slow),
        ("page views with escapes", |numbers| page_view(numbers).replace('/', "\\/"), Path::Any),
        // The same events in the same bytes: the last may take 1.3 times what the first takes.
        ("page views, flat, as many bytes as nested", |numbers| flat_and_nested(numbers).0, Path::Fast),
        ("page views, nested and renamed", |numbers| flat_and_nested(numbers).1, Path::Mapped),
        ("page views without a user, quoted numbers", quoted, Path::Fast),
    ];
    for (name, record, path) in cases.into_iter().filter(|case| case.0.contains(&filter)) {
        let mut numbers = Numbers(1);
        let records: Vec<String> = (0..RECORDS).map(|_| record(&mut numbers)).collect();
        let bytes = records.iter().map(String::len).sum::<usize>() / RECORDS;
        let median = measure(&records, path, rounds);
        println!("{name:<42} {median:>7.1} ns/event at {bytes} bytes");
    }
}

/// What it is called, what writes the records, what reads them.
type Case = (&'static str, fn(&mut Numbers) -> String, Path);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Path {
    Fast,
    Slow,
    Any,
    /// Fast, with the names of [`flat_and_nested`].
    Mapped,
}

fn measure(records: &[String], path: Path, rounds: usize) -> f64 {
    let fields = [
        ("messageId", "event_id"),
        ("context.user.uid", "user_id"),
        ("sentAt", "event_timestamp"),
        ("name", "event_type"),
        ("properties.path", "url"),
        ("properties.verb", "method"),
        ("properties.code", "http_status"),
        ("properties.took", "latency_ms"),
    ];
    let fields = fields.map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned())).into();
    let mapping =
        if path == Path::Mapped { Mapping { fields, ..Mapping::default() } } else { Mapping::default() };
    let mut decoder = Decoder::new(&DecoderOptions { mapping, ..DecoderOptions::default() })
        .expect("the options are valid");
    let is_plain = |record: &String| decoder.decode_plain(record.as_bytes()).is_some();
    assert_eq!(records.iter().all(is_plain), path != Path::Any, "what the case is about");
    let mut samples: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            for record in records {
                let value = Some(record.as_bytes());
                let event: Event<'_> = match path {
                    Path::Fast | Path::Any | Path::Mapped => {
                        decoder.decode(value).expect("the record is valid")
                    }
                    Path::Slow => decoder.decode_slowly(value).expect("the record is valid"),
                };
                black_box(&event);
            }
            start.elapsed().as_nanos() as f64 / records.len() as f64
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// xorshift64*: the same records in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

fn mixed(numbers: &mut Numbers) -> String {
    match numbers.below(100) {
        0..62 => page_view(numbers),
        62..78 => product_click(numbers),
        78..88 => {
            let search = numbers.below(1 << 32);
            let query = ["running shoes", "lamp", "coffee grinder"][numbers.below(3) as usize];
            head(numbers, "search") + &format!(r#","search_id":"s-{search:x}","query":"{query}"}}"#)
        }
        88..95 => {
            let (product, price) = (numbers.below(2_000), numbers.below(20_000));
            head(numbers, "add_to_cart")
                + &format!(
                    r#","product_id":"product_{product}","category":"garden","quantity":1,"price":{}.{:02}}}"#,
                    price / 100,
                    price % 100
                )
        }
        95..98 => order(numbers, "checkout"),
        _ => order(numbers, "purchase"),
    }
}

fn head(numbers: &mut Numbers, kind: &str) -> String {
    let (event, user, micros) = (numbers.next(), numbers.below(10_000), numbers.below(1_000_000));
    let second = 1_755_720_000 + numbers.below(3_600);
    format!(
        r#"{{"event_id":"{event:016x}","user_id":"{:08x}-063a-45dc-a405-04dc2eebd26b","event_timestamp":{second}.{micros:06},"event_type":"{kind}""#,
        user * 40_503,
    )
}

fn page_view(numbers: &mut Numbers) -> String {
    let url = match numbers.below(4) {
        0 => "/".to_owned(),
        1 => format!("/product/{}", numbers.below(2_000)),
        2 => format!("/category/garden?page={}", numbers.below(20)),
        _ => "/search/categories".to_owned(),
    };
    let status = [200, 200, 200, 200, 304, 404, 500][numbers.below(7) as usize];
    let latency = numbers.below(2_000);
    head(numbers, "page_view")
        + &format!(
            r#","url":"{url}","method":"GET","http_status":{status},"latency_ms":{}.{}}}"#,
            latency / 10,
            latency % 10
        )
}

/// The same page view, flat and padded, and as an analytics library would send it.
fn flat_and_nested(numbers: &mut Numbers) -> (String, String) {
    let (event, user, micros) = (numbers.next(), numbers.below(10_000), numbers.below(1_000_000));
    let (event, user) =
        (format!("{event:016x}"), format!("{:08x}-063a-45dc-a405-04dc2eebd26b", user * 40_503));
    let time = format!("{}.{micros:06}", 1_755_720_000 + numbers.below(3_600));
    let url = format!("/product/{}", numbers.below(2_000));
    let status = [200, 200, 200, 200, 304, 404, 500][numbers.below(7) as usize];
    let latency = format!("{}.{}", numbers.below(200), numbers.below(10));
    let nested = format!(
        r#"{{"messageId":"{event}","context":{{"library":{{"name":"web","version":"4.1.0"}},"user":{{"uid":"{user}"}}}},"sentAt":{time},"name":"page_view","properties":{{"path":"{url}","verb":"GET","code":{status},"took":{latency},"title":"Lamp"}}}}"#
    );
    let flat = format!(
        r#"{{"event_id":"{event}","user_id":"{user}","event_timestamp":{time},"event_type":"page_view","url":"{url}","method":"GET","http_status":{status},"latency_ms":{latency},"note":""}}"#
    );
    let padding = "x".repeat(nested.len() - flat.len());
    (flat.replace(r#""note":"""#, &format!(r#""note":"{padding}""#)), nested)
}

/// As access logs come, from those who put everything into quotes.
fn quoted(numbers: &mut Numbers) -> String {
    let (second, url) = (1_755_720_000 + numbers.below(3_600), numbers.below(2_000));
    let status = [200, 200, 404, 500][numbers.below(4) as usize];
    format!(
        r#"{{"ip":"203.0.113.7","time":"{second}","event_time":{second},"url":"/product/{url}","status":"{status}","latency_ms":"{}.5","agent":"probe"}}"#,
        numbers.below(900)
    )
}

fn product_click(numbers: &mut Numbers) -> String {
    let (product, click) = (numbers.below(2_000), numbers.next());
    let campaign = if numbers.below(4) == 0 { r#","campaign_id":"spring""# } else { "" };
    head(numbers, "product_click")
        + &format!(
            r#","click_id":"{click:016x}","product_id":"product_{product}","url":"/product/{product}"{campaign}}}"#
        )
}

fn order(numbers: &mut Numbers, kind: &str) -> String {
    let (product, order, cents) = (numbers.below(2_000), numbers.next(), numbers.below(100_000));
    head(numbers, kind)
        + &format!(
            r#","product_id":"product_{product}","checkout_id":"{order:016x}","amount":{}.{:02},"currency":"EUR"}}"#,
            cents / 100,
            cents % 100
        )
}

/// A blank after each colon and comma between members, as `json.dumps` writes.
fn spaced(record: &str) -> String {
    record.replace("\":", "\": ").replace(",\"", ", \"")
}
