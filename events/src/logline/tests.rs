use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn combined(line: &str) -> Line<'_> {
    parse(line, false).unwrap_or_else(|| panic!("{line}"))
}

#[test]
fn a_combined_line_has_all_its_pieces() {
    let line = combined(
        r#"203.0.113.9 - ann [12/Aug/2025:15:00:01 +0000] "GET /cart?x=1 HTTP/1.1" 200 5316 "https://shop.example/" "Mozilla/5.0 (X11)" 0.042 "-""#,
    );
    let expected = Line {
        host: Some("203.0.113.9"),
        user: Some("ann"),
        time: "12/Aug/2025:15:00:01 +0000",
        method: Some("GET"),
        target: Some("/cart?x=1"),
        status: Some("200"),
        bytes: Some("5316"),
        referrer: Some("https://shop.example/"),
        user_agent: Some("Mozilla/5.0 (X11)"),
        further: Some(r#"0.042 "-""#),
    };
    assert_eq!(line, expected);
}

#[test]
fn a_common_line_ends_with_the_bytes() {
    let text = r#"203.0.113.9 - - [12/Aug/2025:15:00:01 +0000] "POST /pay HTTP/2.0" 502 - "x" more"#;
    let line = parse(text, true).unwrap();
    assert_eq!((line.user, line.method, line.target), (None, Some("POST"), Some("/pay")));
    assert_eq!((line.status, line.bytes, line.referrer), (Some("502"), None, None));
    assert_eq!(line.further, Some(r#""x" more"#));
    let line = combined(r#"203.0.113.9 - - [12/Aug/2025:15:00:01 +0000] "GET / HTTP/1.1" 200 17"#);
    assert_eq!((line.bytes, line.referrer, line.user_agent), (Some("17"), None, None));
}

/// Host and user.
#[test]
fn what_stands_before_the_time_is_sorted_out() {
    let cases = [
        ("203.0.113.9 - -", Some("203.0.113.9"), None),
        ("203.0.113.9 - ann", Some("203.0.113.9"), Some("ann")),
        ("203.0.113.9 - i.ann", Some("203.0.113.9"), Some("i.ann")),
        ("203.0.113.9 - Ann B. Smith", Some("203.0.113.9"), Some("Ann B. Smith")),
        ("203.0.113.9 ident ann", Some("203.0.113.9"), Some("ann")),
        ("203.0.113.9 - \"\"", Some("203.0.113.9"), None),
        ("203.0.113.9 - ", Some("203.0.113.9"), None),
        ("203.0.113.9", Some("203.0.113.9"), None),
        ("203.0.113.9 ann", Some("203.0.113.9"), Some("ann")),
        ("2001:db8::7 - ann", Some("2001:db8::7"), Some("ann")),
        ("::1 - -", Some("::1"), None),
        ("unix: - ann", Some("unix:"), Some("ann")),
        ("host.example.net - ann", Some("host.example.net"), Some("ann")),
        ("shop.example:443 203.0.113.9 - ann", Some("203.0.113.9"), Some("ann")),
        ("shop.example 203.0.113.9 - -", Some("203.0.113.9"), None),
        ("shop.example 2001:db8::7 - ann", Some("2001:db8::7"), Some("ann")),
        ("shop.example:443 203.0.113.9 ident ann", Some("203.0.113.9"), Some("ann")),
        ("203.0.113.9 - shop.example shop.example -", Some("203.0.113.9"), None),
        ("203.0.113.9, 198.51.100.4, 10.0.0.1 - ann", Some("203.0.113.9"), Some("ann")),
        ("203.0.113.9, 198.51.100.4", Some("203.0.113.9"), None),
        ("\"203.0.113.9\" - ann", Some("203.0.113.9"), Some("ann")),
        ("<190>Aug 12 15:00:01 web1 nginx: 203.0.113.9 - ann", Some("203.0.113.9"), Some("ann")),
        ("Aug 12 15:00:01 web1 httpd[417]: 203.0.113.9 - -", Some("203.0.113.9"), None),
        ("- - -", None, None),
        ("", None, None),
    ];
    for (head, host, user) in cases {
        let text = format!(r#"{head} [12/Aug/2025:15:00:01 +0000] "GET / HTTP/1.1" 200 1 "-" "-""#);
        let line = combined(&text);
        assert_eq!((line.host, line.user), (host, user), "{head}");
        assert_eq!((line.time, line.target), ("12/Aug/2025:15:00:01 +0000", Some("/")), "{head}");
    }
}

#[test]
fn whatever_a_client_sent_the_rest_of_the_line_is_read() {
    let requests = [
        ("", None, None),
        ("-", None, None),
        (r"\x16\x03\x01\x00u\x01\x00\x00q\x03\x03\xC0W", None, None),
        (r"\x03\x00\x00/*\xE0\x00\x00\x00\x00\x00Cookie: mstshash=Administr", None, None),
        ("MGLNDD_192.0.2.1_443", None, None),
        ("GET /", Some("GET"), Some("/")),
        ("GET /index.php?x=a b HTTP/1.1", Some("GET"), Some("/index.php?x=a b")),
        (r#"GET /?q=\"x\" HTTP/1.1"#, Some("GET"), Some(r#"/?q=\"x\""#)),
        (r"GET /?q=\x22x\x22 HTTP/1.1", Some("GET"), Some(r"/?q=\x22x\x22")),
        (r#"GET /?q="x" HTTP/1.1"#, Some("GET"), Some(r#"/?q="x""#)),
        (r#"GET /?q="x" 12 HTTP/1.1"#, Some("GET"), Some(r#"/?q="x" 12"#)),
        (r"GET /a\\ HTTP/1.1", Some("GET"), Some(r"/a\\")),
        ("GET /a[1] HTTP/1.1", Some("GET"), Some("/a[1]")),
        ("GET //${%23w} HTTP/1.1", Some("GET"), Some("/${%23w}")),
        ("CONNECT icanhazip.example:80 HTTP/1.1", Some("CONNECT"), None),
        ("OPTIONS * HTTP/1.1", Some("OPTIONS"), Some("*")),
        ("GET https://shop.example/a HTTP/1.1", Some("GET"), Some("https://shop.example/a")),
    ];
    for (request, method, target) in requests {
        let text = format!(r#"203.0.113.9 - ann [12/Aug/2025:15:00:01 +0000] "{request}" 400 150 "-" "-""#);
        let line = combined(&text);
        assert_eq!((line.method, line.target), (method, target), "{request}");
        assert_eq!(
            (line.status, line.bytes, line.user),
            (Some("400"), Some("150"), Some("ann")),
            "{request}"
        );
    }
}

#[test]
fn a_line_that_is_cut_or_odd_gives_what_it_has() {
    let head = r#"203.0.113.9 - - [12/Aug/2025:15:00:01 +0000] "GET / HTTP/1.1" "#;
    let pieces = |tail: &str| {
        let text = format!("{head}{tail}");
        let line = combined(&text);
        format!("{:?} {:?} {:?} {:?}", line.status, line.referrer, line.user_agent, line.further)
    };
    let cases = [
        (
            r#"200 1 "https://shop.example/" "Mozilla/5.0 (X1"#,
            r#"Some("200") Some("https://shop.example/") Some("Mozilla/5.0 (X1") None"#,
        ),
        (r#"200 1 "https://shop.exam"#, r#"Some("200") Some("https://shop.exam") None None"#),
        (r#"200 1 "-" "Build 10\" x""#, r#"Some("200") None Some("Build 10\\\" x") None"#),
        (r#"200 1 "-" "a "b" c""#, r#"Some("200") None Some("a \"b") Some("c\"")"#),
        (r#"200 1 - "Mozilla/5.0""#, r#"Some("200") None Some("Mozilla/5.0") None"#),
        (r#"- 3414853 - "Wget/1.14""#, r#"None None Some("Wget/1.14") None"#),
        (r#"000 0 "-" "-" rt=0.1 uct="0.0""#, r#"Some("000") None None Some("rt=0.1 uct=\"0.0\"")"#),
        ("200", r#"Some("200") None None None"#),
        ("200 1 \"-\" \"-\"\r\n", r#"Some("200") None None None"#),
    ];
    for (tail, expected) in cases {
        assert_eq!(pieces(tail), expected, "{tail}");
    }
}

#[test]
fn what_is_no_line_of_an_access_log_is_none() {
    let lines = [
        "",
        "hello",
        "[12/Aug/2025:15:00:01 +0000]",
        r#"203.0.113.9 - - [12/Aug/2025:15:00:01 +0000] "GET / HTTP/1.1""#,
        r#"203.0.113.9 - - [12/Aug/2025:15:00:01 +0000] "GET / HTTP/1.1" OK 17"#,
        r#"203.0.113.9 - - [12/Aug/2025:15:00:01 +0000] "GET / HTTP/1.1" 200 many"#,
        r#"203.0.113.9 - - [] "GET / HTTP/1.1" 200 17"#,
        r#"203.0.113.9 - - 12/Aug/2025:15:00:01 "GET / HTTP/1.1" 200 17"#,
        "2025/08/12 15:00:01 [error] 31#31: *1 open() failed, request: \"GET / HTTP/1.1\"",
        "[Fri Jul 23 00:28:19.615325 2021] [:error] [pid 17705] ipa: INFO",
        r#"{"message":"x"}"#,
    ];
    for line in lines {
        assert_eq!(parse(line, false), None, "{line}");
    }
}

#[test]
fn even_an_empty_target_has_its_place_in_the_text() {
    let text = "CONNECT host.example:443 HTTP/1.1";
    let (_, target) = request_line(text).unwrap();
    assert_eq!((target, target.as_ptr() as usize - text.as_ptr() as usize), ("", "CONNECT ".len()));
}

#[test]
fn a_request_line_is_taken_apart() {
    let cases = [
        ("GET /x HTTP/1.1", Some((Some("GET"), "/x"))),
        ("GET /site/user_status.html HTTP/1.1", Some((Some("GET"), "/site/user_status.html"))),
        ("  GET   /x   HTTP/1.1 ", Some((Some("GET"), "/x"))),
        ("GET\t/x\tHTTP/1.1", Some((Some("GET"), "/x"))),
        ("get /x http/1.1", Some((Some("get"), "/x http/1.1"))),
        ("M-SEARCH * HTTP/1.1", Some((Some("M-SEARCH"), "*"))),
        ("/x?y=1", Some((None, "/x?y=1"))),
        ("/x HTTP/1.1", Some((None, "/x"))),
        ("https://shop.example/x", Some((None, "https://shop.example/x"))),
        ("///a//b", Some((None, "/a//b"))),
        ("GET //host.example/x HTTP/1.1", Some((Some("GET"), "/host.example/x"))),
        ("GET http://shop.example:80/a?b HTTP/1.1", Some((Some("GET"), "http://shop.example:80/a?b"))),
        ("CONNECT host.example:443 HTTP/1.1", Some((Some("CONNECT"), ""))),
        ("GET / -", Some((Some("GET"), "/"))),
        ("- http://lb.example:80- -", None),
        ("GET", None),
        ("GET ", None),
        ("GET HTTP/1.1", None),
        ("GET x HTTP/1.1", None),
        ("hello world", None),
        ("GARBAGEGARBAGEGARBAGEGARB / HTTP/1.1", None),
        ("G\u{e9}T / HTTP/1.1", None),
        ("://x", None),
        ("-", None),
        ("", None),
    ];
    for (text, expected) in cases {
        assert_eq!(request_line(text), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn what_a_server_writes_is_read_back(
        vhost in select(&["", "shop.example ", "shop.example:443 "][..]),
        host in select(&["203.0.113.9", "2001:db8::7", "::1"][..]),
        user in "-|[a-z@.]{1,9}( [a-z]{1,5}){0,2}",
        target in r#"/([a-z0-9/?=&.%\[\] -]|\\"|\\x[0-9A-F]{2}|é){0,20}[a-z]"#,
        status in "[1-9][0-9]{2}|-",
        bytes in "0|[1-9][0-9]{0,9}|-",
        referrer in r#"-|https://[a-z.]{1,9}/([a-z \[\]]|\\"|\\\\){0,9}"#,
        agent in r#"-|[A-Z]([a-z;() /.0-9]|\\"|\\\\){0,30}"#,
        further in "| [0-9.]{1,5}| \"-\"",
    ) {
        let text = format!(
            r#"{vhost}{host} - {user} [12/Aug/2025:15:00:01 +0000] "GET {target} HTTP/1.1" {status} {bytes} "{referrer}" "{agent}"{further}"#
        );
        let none = |text: &str| (text != "-").then(|| text.to_owned());
        let line = parse(&text, false);
        prop_assert!(line.is_some(), "{}", text);
        let line = line.unwrap();
        prop_assert_eq!((line.host, line.user.map(str::to_owned)), (Some(host), none(&user)), "{}", text);
        prop_assert_eq!((line.method, line.target), (Some("GET"), Some(one_slash(&target))), "{}", text);
        prop_assert_eq!((line.status.map(str::to_owned), line.bytes.map(str::to_owned)), (none(&status), none(&bytes)));
        prop_assert_eq!((line.referrer.map(str::to_owned), line.user_agent.map(str::to_owned)), (none(&referrer), none(&agent)), "{}", text);
        prop_assert_eq!(line.further.unwrap_or(""), value(further.trim()).unwrap_or(""));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}|[a-z0-9\\[\\]\" \\\\:/é-]{0,60}", tail in "(\\] \"| |\"|\\\\|é|200|-|\\[){0,12}") {
        for common in [false, true] {
            let _ = parse(&text, common);
            let _ = parse(&format!("{text}{tail}"), common);
        }
        for text in [text, tail] {
            let within = |part: &str| text.as_bytes().as_ptr_range().contains(&part.as_ptr());
            if let Some((method, target)) = request_line(&text) {
                prop_assert!(method.is_none_or(within) && (within(target) || target.is_empty()));
            }
        }
    }
}
