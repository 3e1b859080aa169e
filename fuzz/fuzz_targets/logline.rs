//! The input is a run of lines of an access log. Nothing may panic, and a line that is one stays one, with the same pieces,
//! whatever a server adds after the last field.

#![no_main]

use events::logline::{parse, request_line};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for line in text.split('\n') {
        let _ = request_line(line);
        let common = parse(line, true);
        let combined = parse(line, false);
        // The two differ in what they make of what follows the bytes, and in nothing before it.
        assert_eq!(
            common.map(|line| (line.time, line.target, line.bytes)),
            combined.map(|line| (line.time, line.target, line.bytes))
        );
        if let Some(line) = common {
            let parts = [line.host, line.user, line.target, line.status, line.bytes];
            assert!(parts.into_iter().flatten().all(|part| !part.is_empty() && part != "-"));
            let numbers = [line.status, line.bytes];
            assert!(numbers.into_iter().flatten().all(|part| part.bytes().all(|byte| byte.is_ascii_digit())));
        }
    }
});
